//! Predictions per second of several threads: with a model each, with one
//! shared model, and with one behind a mutex. See `README.md`.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bilro::Network;
use bilro::ndarray::Array2;
use bilro_benches::median;
use bilro_benches::networks::{Digits, digits};
use clap::Parser;
use serde::Serialize;

/// Measures predictions per second of 64-128-64-10 with several threads.
#[derive(Parser)]
struct Options {
    /// Number of predicting threads
    #[arg(long, default_value = "8")]
    threads: NonZero<usize>,
    /// Examples per prediction
    #[arg(long, default_value = "1")]
    batch: NonZero<usize>,
    /// Seconds for each way
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Millions of predictions per second.
#[derive(Serialize)]
struct Line {
    network: &'static str,
    threads: usize,
    batch: usize,
    separate: f64,
    shared: f64,
    mutex: f64,
    /// The median of the ratios of adjacent measurements.
    shared_to_separate: f64,
}

/// Rounds, each a measurement of every way.
const ROUNDS: usize = 12;

fn main() -> bilro::Result<()> {
    let options = Options::parse();
    let line = measure(&options)?;
    if options.json {
        let text = serde_json::to_string(&line).map_err(bilro::Error::other)?;
        println!("{text}");
        return Ok(());
    }
    println!("64-128-64-10, {} threads, {} example(s) per prediction", line.threads, line.batch);
    for (way, millions) in [
        ("a model for each thread", line.separate),
        ("one shared model", line.shared),
        ("one model behind a mutex", line.mutex),
    ] {
        println!("{way:<26}{millions:>8.2} million predictions per second");
    }
    println!("shared to separate: {:.3}", line.shared_to_separate);
    Ok(())
}

fn measure(options: &Options) -> bilro::Result<Line> {
    let (threads, batch) = (options.threads.get(), options.batch.get());
    let model = || Digits::model().threads(1).seed(1).build();
    let x = Array2::from_shape_fn((batch, 64), |(i, j)| ((i * 31 + j * 17) % 17) as f32 / 16.0);
    let input = || digits::Input { image: x.view() };

    let separate = (0..threads).map(|_| model()).collect::<bilro::Result<Vec<_>>>()?;
    let shared = Arc::new(model()?);
    let mutex = Mutex::new(model()?);
    let seconds = Duration::from_secs_f64(options.seconds / ROUNDS as f64);
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let one = |way: usize| match way {
            0 => rate(threads, seconds, |i| drop(separate[i].predict(input()))),
            1 => rate(threads, seconds, |_| drop(shared.predict(input()))),
            _ => rate(threads, seconds, |_| {
                let model = mutex.lock().unwrap_or_else(|e| e.into_inner());
                drop(model.predict(input()));
            }),
        };
        // Alternate the order: clocks change during a round.
        let order = if round % 2 == 0 { [0, 1, 2] } else { [1, 0, 2] };
        let mut found = [0.0; 3];
        for way in order {
            found[way] = one(way);
            rates[way].push(found[way]);
        }
        ratios.push(found[1] / found[0]);
    }
    let [separate, shared, mutex] = rates.map(|mut rates| median(&mut rates) / 1e6);
    let shared_to_separate = median(&mut ratios);
    let network = "64-128-64-10";
    Ok(Line { network, threads, batch, separate, shared, mutex, shared_to_separate })
}

/// Calls per second of all threads together.
fn rate(threads: usize, seconds: Duration, call: impl Fn(usize) + Sync) -> f64 {
    let (start, end) = (Barrier::new(threads + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let one = |i: usize| {
            let (start, end, call) = (&start, &end, &call);
            move || {
                (0..100).for_each(|_| call(i));
                start.wait();
                let mut calls = 0u64;
                while !end.load(Ordering::Relaxed) {
                    (0..32).for_each(|_| call(i));
                    calls += 32;
                }
                calls
            }
        };
        let threads: Vec<_> = (0..threads).map(|i| scope.spawn(one(i))).collect();
        start.wait();
        let started = Instant::now();
        thread::sleep(seconds);
        end.store(true, Ordering::Relaxed);
        let calls: u64 = threads.into_iter().filter_map(|thread| thread.join().ok()).sum();
        calls as f64 / started.elapsed().as_secs_f64()
    })
}
