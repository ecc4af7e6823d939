//! Tests with random extreme data: the result is a picture or a typed error.

use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2, array};

use super::*;
use crate::Error;
use crate::rng::Generator;

/// Extreme values of f64, and usual ones.
const NUMBERS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    1e-300,
    1e300,
    1e16,
    3.4e38,
];

/// A generator of extreme data and pictures.
struct Draw(Generator);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        (self.0.uniform(0.0, 1.0) * n as f32) as usize % n
    }

    fn number(&mut self) -> f64 {
        match self.below(3) {
            0 => NUMBERS[self.below(NUMBERS.len())],
            1 => f64::from(self.0.uniform(-1.0, 1.0)),
            _ => f64::from(self.0.uniform(-1.0, 1.0)) * 1e9,
        }
    }

    fn numbers(&mut self) -> Vec<f64> {
        let count = [0, 1, 2, 3, 7, 300][self.below(6)];
        (0..count).map(|_| self.number()).collect()
    }

    fn points(&mut self) -> Vec<[f64; 2]> {
        self.numbers().into_iter().map(|x| [x, self.number()]).collect()
    }

    fn image(&mut self) -> Array2<f32> {
        let (rows, columns) = (self.below(5), self.below(5));
        Array2::from_shape_simple_fn((rows, columns), || self.number() as f32)
    }

    fn range(&mut self) -> (f64, f64) {
        match self.below(3) {
            0 => (-1.0, 1.0),
            _ => (self.number(), self.number()),
        }
    }

    fn text(&mut self) -> &'static str {
        [
            "",
            "name",
            "größe 日本語",
            "<&>\"'\0\n\x1b[31m",
            "a very long name of a curve or of a class",
        ][self.below(5)]
    }

    fn picture(&mut self) -> Box<dyn Picture> {
        match self.below(7) {
            0 => {
                let mut picture = Curves::new(self.text()).x(self.text()).y(self.text());
                for _ in 0..self.below(4) {
                    picture = picture.series(self.text(), &self.numbers());
                    let points: Vec<_> = self.points().iter().map(|p| (p[0], p[1])).collect();
                    picture = picture.points(self.text(), &points);
                }
                if self.below(2) == 0 {
                    picture = picture.log();
                }
                if self.below(3) == 0 {
                    let (low, high) = self.range();
                    picture = picture.range(low, high);
                }
                Box::new(picture.stop_at(self.number()))
            }
            1 => {
                let image = self.image();
                let mut picture = Prediction::new(self.text(), image.view(), &self.numbers());
                if self.below(3) == 0 {
                    picture = picture.classes([self.text(), self.text()]).truth(self.below(4));
                }
                Box::new(picture)
            }
            2 => {
                let mut picture = Plane::new(self.text()).points(self.text(), &self.points());
                for _ in 0..self.below(4) {
                    picture = picture.line([self.number(), self.number()], self.number());
                }
                let (x, y) = (self.range(), self.range());
                match self.below(4) {
                    0 => picture = picture.x_range(x.0, x.1).y_range(y.0, y.1),
                    1 => picture = picture.regions(self.image().view(), x, y),
                    2 => {
                        let classes = self.image().mapv(|x| x as u32);
                        picture = picture.class_regions(classes.view(), x, y);
                    }
                    _ => {}
                }
                Box::new(picture)
            }
            3 => {
                let (scale, power) = (self.number(), self.below(4) as i32);
                let function = move |x: f64, y: f64| scale * x.powi(power) - y;
                let picture = Race::new(self.text(), self.range(), self.range(), function);
                let picture = picture.path(self.text(), &self.points());
                Box::new(picture.minimum(self.number(), self.number()))
            }
            4 => {
                let mut picture = Images::new(self.text());
                for _ in 0..self.below(5) {
                    picture = picture.image(self.text(), self.image().view());
                }
                if self.below(2) == 0 {
                    picture = picture.diverging();
                }
                if self.below(2) == 0 {
                    picture = picture.columns([0, 1, 3, usize::MAX][self.below(4)]);
                }
                Box::new(picture)
            }
            5 => {
                let size = [0, 1, 2, 4, usize::MAX];
                let size = (size[self.below(5)], size[self.below(5)]);
                Box::new(Images::weights(self.text(), self.image().view(), size))
            }
            _ => {
                let mut picture = Panels::new(self.text());
                for _ in 0..self.below(4) {
                    let series = Curves::new(self.text()).series(self.text(), &self.numbers());
                    picture = picture.panel(series);
                }
                Box::new(picture.columns([0, 1, 2, usize::MAX][self.below(4)]))
            }
        }
    }
}

#[test]
fn any_data_are_a_picture_or_a_typed_error() {
    let mut draw = Draw(Generator::new(17));
    let start = Instant::now();
    let mut drawn = 0;
    for round in 0..400 {
        let picture = draw.picture();
        let results = [
            output::svg(&*picture).map(drop),
            picture.to_text(60, 20).map(drop),
            output::ansi(&*picture, 1 + draw.below(90), 1 + draw.below(30)).map(drop),
        ];
        for result in results {
            match result {
                Ok(()) => drawn += 1,
                Err(Error::Plot { .. }) => {}
                Err(error) => panic!("{round}: {error}"),
            }
        }
        if round % 10 == 0 && !matches!(output::png(&*picture), Ok(_) | Err(Error::Plot { .. })) {
            panic!("{round}");
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{round}");
    }
    assert!(drawn > 300, "{drawn}");
}

#[test]
fn invalid_sizes_are_refused() {
    let curves = || Curves::new("loss").series("train", &[0.5, 0.25]);
    for (width, height) in [(0, 0), (0, 100), (100, 0), (u32::MAX, u32::MAX), (16_385, 1)] {
        let picture = curves().size(width, height);
        let results = [picture.svg().map(drop), picture.png().map(drop)];
        for result in results {
            assert!(matches!(result, Err(Error::InvalidArgument { .. })), "{width}×{height}");
        }
    }
    for (columns, rows) in [(0, 0), (0, 9), (9, 0), (usize::MAX, usize::MAX), (1 << 40, 1)] {
        assert!(matches!(curves().to_text(columns, rows), Err(Error::InvalidArgument { .. })));
        assert!(matches!(curves().to_ansi(columns, rows), Err(Error::InvalidArgument { .. })));
    }
    // The maximum sizes are accepted.
    curves().size(16_384, 1).png().unwrap();
    curves().to_text(4_096, 1).unwrap();
    let nothing: ArrayView2<'_, f32> = ArrayView2::from_shape((0, 0), &[]).unwrap();
    assert!(Plane::new("").regions(nothing, (0.0, 1.0), (0.0, 1.0)).svg().is_ok());
    let one = array![[1.0f32]];
    assert!(Plane::new("").regions(one.view(), (0.0, 1.0), (0.0, 1.0)).svg().is_ok());
}
