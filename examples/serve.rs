//! An HTTP server that reads handwritten digits: one model for all threads.
//!
//! ```sh
//! cargo run --release --example serve -- --weights digits.safetensors --port 8000
//! curl -d '{"images": [[0, 0, 0.3, ...]]}' http://localhost:8000/predict
//! ```
//!
//! An image is a list of 64 numbers from 0 to 1; the answer has a digit and the
//! probabilities of all ten for each. What a caller has wrong is a 400 with an
//! `error` that says what. Ctrl-C lets requests under way come to their end.
//!
//! What a caller claims takes no memory, and a slow one is not waited for: requests have a largest
//! size and a time. Each has a connection of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bilro::ndarray::{Array2, Axis};
use bilro::prelude::*;
use bilro::{Error, tensor};
use clap::Parser;
use serde::{Deserialize, Serialize};

network! {
    /// Handwritten digits of 8×8 pixels: the example `digits`.
    pub struct Digits {
        input image: [64];
        target digit: class(10);
        layer fc1 = Linear(64, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);
        output logits = fc3(relu(fc2(relu(fc1(image)))));
        loss cross_entropy(logits, digit);
    }
}

/// Serves a network that reads handwritten digits of 8×8 pixels, over HTTP.
#[derive(Parser)]
struct Options {
    /// File of weights, as `Model::save` writes it; trains for a moment unless given
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Address to listen at
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// Port to listen at; 0 for any that is free
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Threads that answer, 1000 at most
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> std::process::ExitCode {
    match run(&Options::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> bilro::Result<()> {
    let model = Arc::new(model(options)?);
    let listener = TcpListener::bind((options.address.as_str(), options.port))?;
    let (address, threads) = (listener.local_addr()?, options.threads.clamp(1, 1000));
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(move || stop(&STOP, address, threads)).map_err(Error::other)?;
    let _ = writeln!(io::stdout(), "listening at http://{address}");
    serve(&listener, &model, threads, &STOP);
    Ok(())
}

/// The model that answers, with the code for one image compiled.
fn model(options: &Options) -> bilro::Result<Model<Digits>> {
    // Requests come on several threads: none needs more than one.
    let model = match &options.weights {
        Some(path) => Digits::model().threads(1).weights(path).build()?,
        None => {
            let mut trainer = Digits::trainer(Adam::new(0.003)).threads(1).seed(7).build()?;
            trainer.fit(&data::digits()?, Fit::epochs(10))?;
            trainer.into_model()
        }
    };
    model.predict(digits::Input { image: Array2::zeros((1, 64)).view() })?;
    Ok(model)
}

/// Answers requests on so many threads, until it is told to stop.
fn serve(listener: &TcpListener, model: &Arc<Model<Digits>>, threads: usize, stop: &AtomicBool) {
    thread::scope(|scope| {
        for _ in 0..threads {
            let model = model.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        // Who has gone away wants no answer.
                        Ok((stream, _)) => drop(answer(&model, stream)),
                        // Too many files are open, most often.
                        Err(_) => thread::sleep(Duration::from_millis(10)),
                    }
                }
            });
        }
    });
}

/// Tells the threads to stop: each that waits for a connection gets one.
fn stop(stop: &AtomicBool, mut address: SocketAddr, threads: usize) {
    stop.store(true, Ordering::Relaxed);
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    for _ in 0..threads {
        let _ = TcpStream::connect_timeout(&address, PATIENCE);
    }
}

/// What is asked: images of 64 numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    images: Vec<Vec<f32>>,
}

/// For each image its digit, and the probabilities of all.
#[derive(Serialize)]
struct Answer {
    digits: Vec<u32>,
    probabilities: Vec<Vec<f32>>,
}

/// Bytes of a request at most, of what comes before it, and images.
const MOST_BYTES: usize = 1 << 20;
const MOST_HEAD: usize = 16 << 10;
const MOST_IMAGES: usize = 1000;

/// How long a request may take to come, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wrong with a request: the status, and what is said.
type Wrong = (u16, String);

struct Request {
    method: String,
    path: String,
    body: String,
}

/// A connection, of which all that comes must come in time.
struct Incoming {
    stream: TcpStream,
    until: Instant,
}

impl Read for Incoming {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(bytes)
    }
}

/// Reads a request and answers it.
fn answer(model: &Model<Digits>, stream: TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut incoming = Incoming { stream, until: Instant::now() + PATIENCE };
    let found = request(&mut incoming)?.and_then(|Request { method, path, body }| {
        match (method.as_str(), path.as_str()) {
            ("POST", "/predict") => predict(model, &body).map_err(|error| (400, error.to_string())),
            (_, "/predict") => Err((405, "images come by POST".into())),
            _ => Err((404, "there is only `POST /predict`".into())),
        }
    });
    let is_read = !matches!(found, Err((411 | 413 | 431, _)));
    let (status, text) = match found {
        Ok(answer) => (200, serde_json::to_string(&answer)?),
        Err((status, error)) => (status, serde_json::json!({ "error": error }).to_string()),
    };
    let stream = &mut incoming.stream;
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{text}",
        if status == 200 { "OK" } else { "Error" },
    )?;
    if !is_read {
        // Who is still sending would not see the answer if the connection were closed now.
        stream.shutdown(Shutdown::Write)?;
        io::copy(&mut incoming.take(16 * MOST_BYTES as u64), &mut io::sink())?;
    }
    Ok(())
}

/// The request that comes, where it is one that can be answered.
fn request(incoming: &mut Incoming) -> io::Result<Result<Request, Wrong>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > MOST_HEAD {
            return Ok(Err((431, "the head of the request is too long".into())));
        }
        more(incoming, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(String::from);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |name: &str| {
        let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if header("Transfer-Encoding").is_some() {
        return Ok(Err((411, "the request must say its `Content-Length`".into())));
    }
    let length = match header("Content-Length").map(str::parse::<u64>) {
        None => 0,
        Some(Ok(length)) => length,
        Some(Err(error)) => return Ok(Err((400, format!("`Content-Length`: {error}")))),
    };
    if length > MOST_BYTES as u64 {
        return Ok(Err((413, "the request is too long".into())));
    }
    if header("Expect").is_some() {
        incoming.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = bytes.split_off(end + 4);
    while (body.len() as u64) < length {
        more(incoming, &mut body)?;
    }
    body.truncate(length as usize);
    let body = String::from_utf8(body).map_err(|error| (400, error.to_string()));
    Ok(body.map(|body| Request { method, path, body }))
}

/// Reads on; an error where there is no more.
fn more(incoming: &mut Incoming, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut next = [0; 8 << 10];
    match incoming.read(&mut next)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(&next[..count]);
            Ok(())
        }
    }
}

fn predict(model: &Model<Digits>, body: &str) -> bilro::Result<Answer> {
    let Question { images } = serde_json::from_str(body).map_err(Error::other)?;
    if images.len() > MOST_IMAGES {
        return Err(format!("there are {} images; at most {MOST_IMAGES}", images.len()).into());
    }
    if let Some((i, image)) = images.iter().enumerate().find(|(_, image)| image.len() != 64) {
        return Err(format!("image {i} has {} numbers, and not 64", image.len()).into());
    }
    if let Some(i) = images.iter().position(|image| image.iter().any(|x| !x.is_finite())) {
        return Err(format!("image {i} has a number that is too large").into());
    }
    let image = Array2::from_shape_vec((images.len(), 64), images.concat())?;
    let logits = model.predict(digits::Input { image: image.view() })?.logits;
    let probabilities = tensor::softmax(&logits, 1)?;
    Ok(Answer {
        digits: tensor::argmax(&logits, 1)?.iter().copied().collect(),
        probabilities: probabilities.axis_iter(Axis(0)).map(|row| row.to_vec()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The status and the JSON that come back.
    fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
        answered(stream)
    }

    fn answered(mut stream: TcpStream) -> (u16, Value) {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn digits_are_read_by_several_threads_and_mistakes_are_answered() {
        let options = Options::parse_from(["serve", "--port", "0"]);
        let model = Arc::new(model(&options).unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = AtomicBool::new(false);
        let data = data::digits().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &model, 2, &is_over));
            let asked: Vec<_> = (0..4)
                .map(|part| {
                    let data = &data;
                    scope.spawn(move || {
                        let rows = 10 * part..10 * (part + 1);
                        let images: Vec<Vec<f32>> =
                            rows.clone().map(|row| data.x().row(row).to_vec()).collect();
                        let body = serde_json::json!({ "images": images }).to_string();
                        let (status, answer) = ask(address, "POST", "/predict", &body);
                        assert_eq!(status, 200, "{answer}");
                        let digits: Vec<u32> =
                            serde_json::from_value(answer["digits"].clone()).unwrap();
                        assert_eq!(answer["probabilities"][9].as_array().unwrap().len(), 10);
                        let right =
                            digits.iter().zip(rows).filter(|(d, row)| **d == data.y()[*row]);
                        right.count()
                    })
                })
                .collect();
            let right: usize = asked.into_iter().map(|asked| asked.join().unwrap()).sum();
            let long = format!("{{\"images\": [[{}]]}}", "0,".repeat(MOST_BYTES / 2));
            let infinite = format!("{{\"images\": [[{}1e39]]}}", "0,".repeat(63));
            let mistakes: Vec<_> = [
                ("POST", "/predict", "{", 400, "EOF"),
                ("POST", "/predict", r#"{"images": [[1, 2]]}"#, 400, "2 numbers, and not 64"),
                ("POST", "/predict", r#"{"images": []}"#, 400, "no examples"),
                ("POST", "/predict", r#"{"image": []}"#, 400, "unknown field `image`"),
                ("POST", "/predict", &infinite, 400, "image 0 has a number that is too large"),
                ("POST", "/predict", &long, 413, "too long"),
                ("GET", "/predict", "", 405, "POST"),
                ("GET", "/", "", 404, "POST /predict"),
            ]
            .map(|(method, path, body, status, part)| {
                (ask(address, method, path, body), status, part)
            })
            .into();
            // What takes neither memory nor time: sizes that are only claimed, and who sends no more.
            let wrong_heads = [
                ("Content-Length: 1000000000000000000".to_string(), 413),
                ("Content-Length: 1000000000000000000000000".to_string(), 400),
                ("Content-Length: -1".to_string(), 400),
                ("Transfer-Encoding: chunked".to_string(), 411),
                (format!("Cookie: {}", "x".repeat(2 * MOST_HEAD)), 431),
            ]
            .map(|(head, status)| {
                let mut stream = TcpStream::connect(address).unwrap();
                write!(stream, "POST /predict HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                (head, answered(stream).0, status)
            });
            let slow: Vec<_> = (0..2)
                .map(|_| {
                    let mut stream = TcpStream::connect(address).unwrap();
                    write!(stream, "POST /predict HTTP/1.1\r\nContent-Length: 5000\r\n\r\n{{")
                        .unwrap();
                    stream
                })
                .collect();
            let after_slow = ask(address, "GET", "/", "").0;
            drop(slow);
            stop(&is_over, address, 2);
            assert_eq!(after_slow, 404);
            for (head, status, expected) in wrong_heads {
                assert_eq!(status, expected, "{head}");
            }
            assert!(right > 30, "{right} of 40");
            for ((status, answer), expected, part) in mistakes {
                let error = answer["error"].as_str().unwrap_or_default();
                assert!(status == expected && error.contains(part), "{status}: {answer}");
            }
        });
    }

    #[test]
    fn weights_that_are_not_there_are_named() {
        let options = Options::parse_from(["serve", "--weights", "no/such/file"]);
        let error = model(&options).unwrap_err().to_string();
        assert!(error.starts_with("no/such/file"), "{error}");
    }
}
