//! How long it takes to write a checkpoint and to resume from it, of a network with ten million
//! parameters and Adam. See `README.md`.

use std::time::Instant;

use bilro::Adam;
use bilro::ndarray::{Array1, Array2};
use bilro::prelude::*;
use bilro_benches::median;

network! {
    /// Ten million parameters.
    struct Wide {
        input x: [1024];
        target class: class(10);
        output logits = x -> Linear(4096) -> ReLU -> Linear(1408) -> ReLU -> Linear(10);
        loss cross_entropy(logits, class);
    }
}

/// How often each is measured.
const ROUNDS: usize = 7;

fn milliseconds(mut call: impl FnMut() -> bilro::Result<()>) -> bilro::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times))
}

fn main() -> bilro::Result<()> {
    let path = std::env::temp_dir().join(format!("bilro-bench-{}.safetensors", std::process::id()));
    let mut trainer = Wide::trainer(Adam::new(1e-3)).build()?;
    let (x, class) = (Array2::from_elem((32, 1024), 0.1), Array1::from_elem(32, 3));
    trainer.step(wide::Batch { x: x.view(), class: class.view() })?;
    let parameters: usize = trainer.model().named_parameters().map(|(_, p)| p.len()).sum();
    let step =
        milliseconds(|| trainer.step(wide::Batch { x: x.view(), class: class.view() }).map(drop))?;
    let write = milliseconds(|| trainer.save_checkpoint(&path))?;
    let megabytes = std::fs::metadata(&path)?.len() as f64 / 1e6;
    // The disk alone: the same bytes.
    let bytes = std::fs::read(&path)?;
    let disk = milliseconds(|| {
        use std::io::Write;
        let mut file = std::fs::File::create(path.with_extension("copy"))?;
        file.write_all(&bytes)?;
        Ok(file.sync_all()?)
    })?;
    let resume = milliseconds(|| trainer.resume(&path).map(drop))?;
    std::fs::remove_file(&path)?;
    std::fs::remove_file(path.with_extension("copy"))?;
    println!("{parameters} parameters with Adam, {megabytes:.0} MB");
    println!("a step           {step:8.1} ms");
    println!("write and sync   {write:8.1} ms");
    println!("the disk alone   {disk:8.1} ms");
    println!("resume           {resume:8.1} ms");
    Ok(())
}
