use bilro::Backend;
use bilro::engine::Engine;
use bilro::network::Feed;
use bilro_compiler::network::{Builder, LossReduction, Purpose};
use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::optim::sgd::Sgd;
use bilro_compiler::shape::{Dim, Shape, Type};

fn mlp(sizes: &[usize]) -> bilro_compiler::network::Network {
    let mut b = Builder::new("Mlp");
    let mut x = b.input("x", Type::real(Shape::batched([sizes[0]]))).unwrap();
    let t = b
        .target("t", Type::index(sizes[sizes.len() - 1], Shape::batched(Vec::<usize>::new())))
        .unwrap();
    for (i, n) in sizes[1..].iter().enumerate() {
        let l = b
            .layer(
                None,
                "Linear",
                &Attributes::new().with("out_features", AttributeValue::Size(Dim::Fixed(*n))),
            )
            .unwrap();
        x = b.apply(l, (x, "x")).unwrap();
        if i + 2 < sizes.len() {
            x = b.call("relu", &[(x, "x")], &Attributes::new()).unwrap();
        }
    }
    b.output("y", x).unwrap();
    let l = b.call("cross_entropy", &[(x, "y"), (t, "t")], &Attributes::new()).unwrap();
    b.loss((l, "loss"), LossReduction::Mean).unwrap();
    b.finish().unwrap()
}
#[test]
fn scratch() {
    for (sizes, batch) in [(vec![784usize, 128, 64, 10], 64usize), (vec![64, 128, 64, 10], 64)] {
        let mut e = Engine::new(mlp(&sizes), Backend::Jit, 0, 1);
        let x = ndarray::ArrayD::from_shape_fn(vec![batch, sizes[0]], |i| {
            ((i[0] * 31 + i[1] * 7) % 17) as f32 / 17.0
        });
        let t = ndarray::ArrayD::from_shape_fn(vec![batch], |i| (i[0] % 10) as u32);
        let sgd = Sgd::new(0.1);
        let feeds = [Feed::Real(x.view()), Feed::Index(t.view())];
        let t0 = std::time::Instant::now();
        let r = e.run(&Purpose::Step(&sgd), &feeds).unwrap();
        println!("compile+first {:?} loss {}", t0.elapsed(), r.loss);
        let mut times = vec![];
        for _ in 0..300 {
            let t0 = std::time::Instant::now();
            e.run(&Purpose::Step(&sgd), &feeds).unwrap();
            times.push(t0.elapsed().as_nanos());
        }
        times.sort();
        let macs: usize = 64
            * (2 * sizes.windows(2).map(|w| w[0] * w[1]).sum::<usize>()
                + sizes[1..].windows(2).map(|w| w[0] * w[1]).sum::<usize>());
        println!(
            "median {} us min {} us, {} GFLOP/s",
            times[150] as f64 / 1e3,
            times[0] as f64 / 1e3,
            2.0 * macs as f64 / times[150] as f64
        );
        let mut ei = Engine::new(mlp(&sizes), Backend::Interpreter, 0, 1);
        for _ in 0..3 {
            println!("interp loss {}", ei.run(&Purpose::Step(&sgd), &feeds).unwrap().loss);
        }
        let mut e = Engine::new(mlp(&sizes), Backend::Jit, 0, 1);
        for _ in 0..3 {
            println!("jit loss {}", e.run(&Purpose::Step(&sgd), &feeds).unwrap().loss);
        }
    }
}
