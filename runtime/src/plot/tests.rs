//! Tests of every picture in every format.

use ndarray::{Array1, Array2, array};
use tiny_skia::Pixmap;
use unicode_width::UnicodeWidthStr;

use super::output;
use super::*;
use crate::error::Error;
use crate::metrics;
use crate::train::{Epoch, History, Validation};

const NAN: f64 = f64::NAN;

fn curves() -> Curves {
    Curves::new("Losses & more")
        .y("cross entropy")
        .series("train", &[2.0, 1.0, 0.5, 0.3, 0.2])
        .series("test <5>", &[2.1, 1.2, 0.8, 0.9, 1.1])
        .stop_at(3.0)
}

fn prediction() -> Prediction {
    prediction_of(&[0.03, 0.9, 0.02, 0.0, 0.0, 0.01, 0.01, 0.01, 0.01, 0.01]).truth(1)
}

fn prediction_of(probabilities: &[f64]) -> Prediction {
    let image = Array2::from_shape_fn((8, 8), |(r, c)| (r * c) as f32);
    Prediction::new("A digit", image.view(), probabilities)
}

fn plane() -> Plane {
    let values = Array2::from_shape_fn((9, 12), |(r, c)| ((r + c) as f32 / 19.0).powi(2));
    Plane::new("Two classes")
        .points("blue", &[[0.1, 0.2], [0.3, 0.2]])
        .points("red", &[[0.8, 0.9], [0.7, 0.6]])
        .regions(values.view(), (0.0, 1.0), (0.0, 1.0))
        .line([1.0, 1.0], -0.7)
        .line([1.0, 1.0], -1.0)
}

fn race() -> Race<'static> {
    let path = |rate: f64| -> Vec<[f64; 2]> {
        (0..20).map(|i| [-1.5 * (1.0 - rate).powi(i), 1.0 - rate * f64::from(i) / 5.0]).collect()
    };
    Race::new("A race", (-2.0, 2.0), (-1.5, 1.5), |x, y| x * x + 4.0 * y * y)
        .path("SGD", &path(0.1))
        .path("Adagrad", &path(0.3))
        .minimum(0.0, 0.0)
}

fn confusion() -> ConfusionMatrix {
    let counts = [[42, 1, 0], [3, 37, 2], [0, 5, 44]];
    let (mut targets, mut predictions) = (Vec::new(), Vec::new());
    for (target, row) in (0..).zip(counts) {
        for (prediction, count) in (0..).zip(row) {
            targets.extend(vec![target; count]);
            predictions.extend(vec![prediction; count]);
        }
    }
    ConfusionMatrix::new("Animals", &counted(targets, predictions, 3, &["cat", "dog", "owl"]))
}

fn counted(
    targets: Vec<u32>,
    predictions: Vec<u32>,
    classes: usize,
    names: &[&str],
) -> metrics::ConfusionMatrix {
    let (targets, predictions) = (Array1::from(targets), Array1::from(predictions));
    let counted = metrics::ConfusionMatrix::new(&targets, &predictions, classes).unwrap();
    match names {
        [] => counted,
        names => counted.named(names.iter().copied()).unwrap(),
    }
}

fn images() -> Images {
    let weight = Array2::from_shape_fn((16, 6), |(i, j)| ((i * (j + 1)) as f32).sin());
    Images::weights("Weights", weight.view(), (4, 4))
}

fn panels() -> Panels<'static> {
    Panels::new("Side by side").panel(curves()).panel(confusion()).panel(images()).panel(race())
}

/// A picture with the words in its SVG, and in its text.
type Case = (Box<dyn Picture>, &'static [&'static str], &'static [&'static str]);

/// All pictures.
fn all() -> Vec<Case> {
    vec![
        (
            Box::new(curves()),
            &[
                "Losses &amp; more",
                "train",
                "test &lt;5&gt;",
                "cross entropy",
                "epoch",
                "stop at 3",
            ],
            &["Losses & more", "⠤⠤⠤ train   ⠤o⠤ test <5>", "epoch", "stop at 3", "●"],
        ),
        (
            Box::new(prediction()),
            &["A digit", "probability", "0.90 ✓", "0.8", "9"],
            &["A digit", "probability", "0.90 ✓", "0.03"],
        ),
        (
            Box::new(plane()),
            &["Two classes", "blue", "red", "decision line, last of 2", "x₁", "x₂"],
            &["Two classes", "o blue   x red", "decision line", "0.4"],
        ),
        (
            Box::new(race()),
            &["A race", "SGD", "Adagrad", "step", "f(x, y)", "-1.5"],
            &["A race", "⠤⠤⠤ SGD   ⠤o⠤ Adagrad", "step", "f(x, y)", "×"],
        ),
        (
            Box::new(confusion()),
            &["Animals", "predicted", "true", "cat", "dog", "owl", "42", "37", "44"],
            &["Animals", "predicted", "true", "cat", "dog", "owl", "42", "37", "44"],
        ),
        (Box::new(images()), &["Weights", "-1", "1"], &["Weights", "≡=- ░▒▓█"]),
        (
            Box::new(panels()),
            &["Side by side", "Animals", "Weights", "A race", "stop at 3"],
            &["Side by side", "Animals", "Weights", "A race"],
        ),
    ]
}

fn assert_text(text: &str, columns: usize, rows: usize) {
    let lines: Vec<_> = text.split('\n').collect();
    assert_eq!(lines.len(), rows, "{text}");
    for line in lines {
        assert_eq!(line.width(), columns, "{text}");
    }
}

/// `text` without its escape sequences.
fn without_colors(text: &str) -> String {
    let mut chunks = text.split("\x1b[");
    let first = chunks.next().unwrap().to_string();
    chunks.fold(first, |text, chunk| text + chunk.split_once('m').unwrap().1)
}

/// Draws all formats of a picture, and checks their sizes.
fn assert_draws(picture: &dyn Picture) {
    let (width, height) = picture.look().size;
    let svg = output::svg(picture).unwrap();
    assert!(svg.starts_with(&format!("<svg width=\"{width}\" height=\"{height}\"")), "{svg}");
    assert_eq!(svg.matches("<svg").count(), 1);
    assert!(svg.trim_end().ends_with("</svg>"));
    let png = output::png(picture).unwrap();
    let pixels = Pixmap::decode_png(&png).unwrap();
    assert_eq!((pixels.width(), pixels.height()), (width, height));
    assert!(pixels.pixels().iter().all(|p| p.alpha() == 255));
    for (columns, rows) in [(80, 24), (110, 40), (37, 11), (9, 3), (1, 1)] {
        assert_text(&output::text(picture, columns, rows).unwrap(), columns, rows);
        let colored = output::ansi(picture, columns, rows).unwrap();
        assert_text(&without_colors(&colored), columns, rows);
    }
}

#[test]
fn in_text_an_image_uses_the_rows_below_the_bars() {
    let image = Array2::from_shape_fn((28, 28), |(_, column)| column as f32);
    let picture = Prediction::new("Darker to the right", image.view(), &[0.1; 10]);
    let text = picture.to_text(80, 17).unwrap();
    // A pixel is as wide as a character and half as high.
    let full = text.lines().filter(|line| line.chars().nth(27) == Some('█')).count();
    assert_eq!(full, 14, "{text}");
}

#[test]
fn a_probability_of_1_has_its_number_and_mark_beside_its_bar() {
    let picture = prediction_of(&[0.0, 1.0]).truth(1);
    for (columns, rows) in [(64, 14), (100, 30), (140, 40)] {
        let text = picture.to_text(columns, rows).unwrap();
        let line = text.lines().find(|line| line.contains('✓')).unwrap();
        assert!(
            line.trim_end().ends_with("▓ 1.00 ✓") || line.trim_end().ends_with("▌1.00 ✓"),
            "{text}"
        );
        assert!(!text.contains("1.2"), "{text}");
    }
}

#[test]
fn pictures_have_their_titles_names_and_numbers() {
    for (picture, in_svg, in_text) in all() {
        assert_draws(&*picture);
        let svg = output::svg(&*picture).unwrap();
        let svg: Vec<&str> = svg.lines().collect();
        for text in in_svg {
            assert!(svg.contains(text), "{text} is not in {svg:#?}");
        }
        let drawn = output::text(&*picture, 100, 40).unwrap();
        for text in in_text {
            assert!(drawn.contains(text), "{text} is not in\n{drawn}");
        }
    }
}

#[test]
fn default_attributes_are_removed_from_shapes_but_not_from_text() {
    let title = "a opacity=\"1\" stroke=\"none\"";
    let svg = Curves::new(title).series("train", &[2.0, 1.0]).svg().unwrap();
    assert!(svg.contains("a opacity=&quot;1&quot; stroke=&quot;none&quot;"), "{svg}");
    assert!(!svg.contains(" opacity=\"1\"") && !svg.contains(" stroke=\"none\""), "{svg}");
}

#[test]
fn pngs_have_shapes_and_letters() {
    for (picture, ..) in all() {
        let count = |png: Vec<u8>| {
            let pixels = Pixmap::decode_png(&png).unwrap();
            pixels.pixels().iter().filter(|p| p.red() < 100).count()
        };
        assert!(count(output::png(&*picture).unwrap()) > 300, "{}", picture.look().title);
    }
    // The same curve with a title has additional dark pixels at the top.
    let titled = |title: &str| {
        let pixels = Curves::new(title).series("", &[1.0, 2.0]).png().unwrap();
        let pixels = Pixmap::decode_png(&pixels).unwrap();
        let top = pixels.pixels()[..800 * 25].iter();
        top.filter(|p| p.red() < 128).count()
    };
    assert_eq!(titled(" "), 0);
    assert!(titled("Title") > 100);
}

#[test]
fn nothing_is_drawn_at_the_border() {
    for (picture, ..) in all() {
        let pixels = Pixmap::decode_png(&output::png(&*picture).unwrap()).unwrap();
        let (width, height) = (pixels.width(), pixels.height());
        for (x, y) in (0..width)
            .flat_map(|x| [(x, 0), (x, height - 1)])
            .chain((0..height).flat_map(|y| [(0, y), (width - 1, y)]))
        {
            let pixel = pixels.pixel(x, y).unwrap();
            assert_eq!(
                (pixel.red(), pixel.green()),
                (255, 255),
                "{} {x} {y}",
                picture.look().title
            );
        }
    }
}

#[test]
fn the_same_data_give_the_same_bytes() {
    for ((a, ..), (b, ..)) in all().into_iter().zip(all()) {
        assert_eq!(output::svg(&*a).unwrap(), output::svg(&*b).unwrap());
        assert_eq!(output::png(&*a).unwrap(), output::png(&*b).unwrap());
        assert_eq!(output::ansi(&*a, 80, 24).unwrap(), output::ansi(&*b, 80, 24).unwrap());
    }
}

#[test]
fn every_size_draws() {
    for (width, height) in [(1, 1), (7, 300), (300, 7), (60, 40), (121, 77), (2000, 900)] {
        assert_draws(&curves().size(width, height));
        assert_draws(&prediction().size(width, height));
        assert_draws(&plane().size(width, height));
        assert_draws(&race().size(width, height));
        assert_draws(&confusion().size(width, height));
        assert_draws(&images().size(width, height));
        assert_draws(&panels().size(width, height));
    }
}

#[test]
fn tiny_and_broken_data_draw() {
    let infinite = f64::INFINITY;
    assert_draws(&Curves::new("one").series("", &[1.0]));
    assert_draws(&Curves::new("zeros").series("", &[0.0, 0.0]).stop_at(100.0));
    assert_draws(&Curves::new("gaps").series("a", &[NAN, 1.0, NAN, 2.0, 3.0, infinite, -1.0]));
    assert_draws(&Curves::new("log").log().series("a", &[0.0, -1.0, 1.0]).stop_at(NAN));
    assert_draws(&Curves::new("wide").series("a", &[f64::MIN, 0.0, f64::MAX]));
    assert_draws(&Curves::new("small").series("a", &[5e-324, 1e-300]));
    assert_draws(&Curves::new("log").log().series("a", &[5e-324, 1e308]));
    assert_draws(&Curves::new("\u{1b}[31m\0\u{ffff}\n漢字 🙂").series("字", &[1f32, 2.0]));
    assert_draws(&Prediction::new("", array![[f32::NAN]].view(), &[NAN, 0.5]));
    assert_draws(&Prediction::new("", Array2::zeros((0, 3)).view(), &[1.0]));
    let thousand: Vec<f64> = (0..1000).map(|i| f64::from(i % 7) / 3000.0).collect();
    let wide = Prediction::new("", Array2::ones((2, 900)).view(), &thousand);
    assert_draws(&wide);
    assert!(wide.svg().unwrap().contains(" of 1000"));
    assert_draws(&Plane::new("").points("a", &[[NAN, 1.0], [2.0, 3.0]]).line([0.0, 0.0], 1.0));
    assert_draws(&Plane::new("").line([NAN, 1.0], 0.0).line([1.0, 0.0], 0.2));
    let regions = array![[f32::NAN, 1.0], [0.2, f32::INFINITY]];
    assert_draws(&Plane::new("").regions(regions.view(), (0.0, 1.0), (-1.0, 1.0)));
    let classes = Array2::from_shape_fn((5, 5), |(r, c)| (r * c) as u32 * 1000);
    assert_draws(&Plane::new("").class_regions(classes.view(), (0.0, 1.0), (-1.0, 1.0)));
    let away = [[0.0, 0.0], [1e300, NAN], [1e300, -1e300], [1.0, 1.0], [-40.0, 3.0]];
    assert_draws(&Race::new("", (-1.0, 1.0), (-1.0, 1.0), |x, y| x / y).path("a", &away));
    assert_draws(&Race::new("", (-1.0, 1.0), (-1.0, 1.0), |_, _| 3.0).path("a", &[[0.0, 0.0]]));
    assert_draws(&ConfusionMatrix::new("", &counted(vec![0], vec![0], 1, &[])));
    assert_draws(&ConfusionMatrix::new("", &counted(vec![7], vec![0], 300, &[])));
    let image = array![[1.0, f32::NAN], [f32::NEG_INFINITY, -3.0]];
    assert_draws(&Images::new("").image("", image.view()).image("a", Array2::zeros((0, 0)).view()));
    assert_draws(&Images::new("").diverging().columns(9).image("0", array![[0.0]].view()));
}

#[test]
fn gaps_are_gaps() {
    let lines = |values: &[f64]| {
        let svg = Curves::new("").series("a", values).svg().unwrap();
        // Blue lines, except the sample in the legend.
        svg.lines().filter(|l| l.contains("polyline") && l.contains("#0072B2")).count() - 1
    };
    assert_eq!(lines(&[1.0, 2.0, 3.0, 4.0]), 1);
    assert_eq!(lines(&[1.0, 2.0, NAN, 3.0, 4.0]), 2);
}

fn message<T>(result: crate::Result<T>) -> String {
    result.err().expect("a mistake").to_string()
}

#[test]
fn errors_say_what_to_do() {
    let none: [f64; 0] = [];
    assert!(matches!(Curves::new("a").svg(), Err(Error::Plot { .. })));
    for (found, expected) in [
        (
            message(Curves::new("a").series("b", &[NAN]).png()),
            "the picture `a`: there is nothing to draw: no curve has a finite number; give `series`",
        ),
        (
            message(Curves::new("a").series("b", &none).log().to_text(9, 9)),
            "the picture `a`: there is nothing to draw: no curve has a positive finite number; give `series`",
        ),
        (
            message(curves().range(2.0, 1.0).svg()),
            "the picture `Losses & more`: its range is from 2 to 1, but must go up, from and to finite numbers",
        ),
        (
            message(Prediction::new("a", Array2::zeros((1, 1)).view(), &[0.5, 4.0]).svg()),
            "the picture `a`: class 1 has 4, but probabilities are from 0 to 1; give `softmax` of scores",
        ),
        (
            message(prediction().truth(10).svg()),
            "the picture `A digit`: its truth is class 10, but there are 10 classes",
        ),
        (
            message(Images::weights("a", Array2::zeros((64, 2)).view(), (8, 9)).svg()),
            "the picture `a`: the weight has 64 inputs, but images of 8×9 have another number of pixels",
        ),
        (
            message(Panels::new("a").svg()),
            "the picture `a`: there is nothing to draw: give it a `panel`",
        ),
        (
            message(Images::new("a").to_ansi(9, 9)),
            "the picture `a`: there is nothing to draw: no image has a finite value; give `image`",
        ),
        (
            message(Race::new("", (0.0, 1.0), (0.0, 1.0), |x, _| x).svg()),
            "the picture `without title`: there is nothing to draw: the function is finite nowhere on a path",
        ),
        (
            message(Plane::new("a").svg()),
            "the picture `a`: there is nothing to draw: no point is finite; give `points` or `regions`",
        ),
        (message(curves().size(0, 9).svg()), "size must be from 1×1 to 16384×16384, but is 0×9"),
        (
            message(curves().to_text(80, 0)),
            "columns and rows must be from 1×1 to 4096×4096, but is 80×0",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn files_are_written_to_their_paths() {
    let folder = std::env::temp_dir().join(format!("bilro-plot-{}", std::process::id()));
    let inner = folder.join("made").join("when missing");
    for name in ["a.svg", "b.PNG"] {
        curves().save(inner.join(name)).unwrap();
    }
    assert_eq!(std::fs::read(inner.join("a.svg")).unwrap(), curves().svg().unwrap().into_bytes());
    assert_eq!(std::fs::read(inner.join("b.PNG")).unwrap(), curves().png().unwrap());
    assert!(matches!(curves().save(folder.join("a.gif")), Err(Error::File { .. })));
    let gif = message(curves().save("a.gif"));
    assert_eq!(gif, "a.gif: `.gif` is not known; a picture's file ends in `.svg` or `.png`");
    assert_eq!(message(curves().save("a")), "a: a picture's file ends in `.svg` or `.png`");
    // A file is not a folder.
    let wrong = inner.join("a.svg").join("c.svg");
    assert!(matches!(curves().save(&wrong), Err(Error::File { path, .. }) if path == wrong));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_history_has_its_losses_and_metrics() {
    let epoch = |loss: f64, accuracy: Option<f64>| Epoch {
        loss,
        validation: accuracy
            .map(|a| Validation { loss: loss + 0.1, metrics: vec![("accuracy".into(), a)] }),
        ..Epoch::default()
    };
    let mut history = History::default();
    assert!(matches!(history.plot("a.svg"), Err(Error::Plot { .. })));
    history.epochs = vec![epoch(1.0, Some(0.3)), epoch(0.5, None), epoch(0.4, Some(0.7))];
    let svg = Panels::from(&history).svg().unwrap();
    for text in ["loss", "training", "validation", "accuracy", "epoch"] {
        assert!(svg.lines().any(|l| l == text), "{text} is not in {svg}");
    }
    history.epochs.iter_mut().for_each(|e| e.validation = None);
    let text = Panels::from(&history).to_text(60, 20).unwrap();
    assert!(text.contains("training") && !text.contains("validation"), "{text}");
}

#[test]
fn other_backends_draw_too() {
    use plotters::prelude::{IntoDrawingArea, SVGBackend};

    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (640, 400)).into_drawing_area();
    let (left, right) = area.split_horizontally(320);
    curves().draw(&left).unwrap();
    confusion().draw(&right).unwrap();
    drop((area, left, right));
    assert!(text.contains("train") && text.contains("Animals"));
}

#[test]
fn any_picture_has_the_same_output_as_a_trait_object() {
    let pictures: [(&dyn Picture, String); 2] = [
        (&curves(), curves().to_text(50, 14).unwrap()),
        (&plane(), plane().to_text(50, 14).unwrap()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (i, (picture, text)) in pictures.into_iter().enumerate() {
        assert_eq!(picture.to_text(50, 14).unwrap(), text);
        let path = folder.path().join(format!("{i}.svg"));
        picture.save(&path).unwrap();
        assert!(std::fs::read(&path).unwrap().starts_with(b"<svg"));
        assert!(matches!(picture.save(&path.with_extension("gif")), Err(Error::File { .. })));
    }
}

#[test]
fn a_grid_is_row_by_row_from_end_to_end() {
    let points = grid((-1.0, 1.0), (0.0, 0.1), 2, 3).unwrap();
    let expected =
        array![[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [-1.0, 0.1], [0.0, 0.1], [1.0, 0.1f32]];
    assert_eq!(points, expected);
    assert_eq!(grid((0.0, 4.0), (2.0, 3.0), 1, 1).unwrap(), array![[2.0, 2.5]]);
}

#[test]
fn invalid_grids_are_refused() {
    let wide = (0.0, 1.0);
    for (rows, columns) in [(usize::MAX, 2), (2, usize::MAX), (0, 3), (3, 0), (1 << 20, 1 << 20)] {
        let message = grid(wide, wide, rows, columns).unwrap_err().to_string();
        assert!(message.ends_with(&format!("but is {rows}×{columns}")), "{message}");
    }
    for ends in [(f64::NAN, 1.0), (0.0, f64::INFINITY), (-1e39, 0.0)] {
        assert!(matches!(grid(ends, wide, 2, 2), Err(Error::InvalidArgument { .. })));
        assert!(matches!(grid(wide, ends, 2, 2), Err(Error::InvalidArgument { .. })));
    }
}
