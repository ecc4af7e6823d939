//! An HTTP server that recognises handwritten digits: one model for all threads.
//!
//! ```sh
//! cargo run --release --example serve -- --weights digits.safetensors --port 8000
//! curl -d '{"images": [[0, 0, 0.3, ...]]}' http://localhost:8000/predict
//! ```
//!
//! An image is a list of 64 numbers from 0 to 1; the response has the digit and
//! the ten probabilities of each. An invalid request gets status 400 with an
//! `error` message. Ctrl-C completes running requests.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bilro::ndarray::{Array2, Axis};
use bilro::prelude::*;
use bilro::{Error, tensor};
use clap::Parser;
use serde::{Deserialize, Serialize};
use tiny_http::{Header, Method, Request, Response, Server};

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

/// Serves a network for handwritten digits of 8×8 pixels, over HTTP.
#[derive(Parser)]
struct Options {
    /// File of weights, written by `Model::save`; without it, a model is trained
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Address to listen at
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// Port to listen at; 0 for any free port
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Threads that handle requests
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
    let server = Server::http((options.address.as_str(), options.port)).map_err(Error::other)?;
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).map_err(Error::other)?;
    let _ = writeln!(std::io::stdout(), "listening at http://{}", server.server_addr());
    serve(&server, &model, options.threads, &STOP);
    Ok(())
}

/// The served model, with the code for one image compiled.
fn model(options: &Options) -> bilro::Result<Model<Digits>> {
    // Requests run on several threads, each on one.
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

/// Handles requests on `threads` threads, until `stop` is set.
fn serve(server: &Server, model: &Arc<Model<Digits>>, threads: usize, stop: &AtomicBool) {
    const POLL: Duration = Duration::from_millis(100);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let model = model.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(Some(request)) = server.recv_timeout(POLL) {
                        // An error means that the client has disconnected.
                        let _ = respond(&model, request);
                    }
                }
            });
        }
    });
}

/// The body of a request: images of 64 numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictRequest {
    images: Vec<Vec<f32>>,
}

/// The body of a response: for each image its digit, and all probabilities.
#[derive(Serialize)]
struct PredictResponse {
    digits: Vec<u32>,
    probabilities: Vec<Vec<f32>>,
}

/// Limits of a request.
const MAX_BYTES: usize = 1 << 20;
const MAX_IMAGES: usize = 1000;

fn respond(model: &Model<Digits>, mut request: Request) -> std::io::Result<()> {
    let result = match (request.method(), request.url()) {
        (Method::Post, "/predict") => {
            let mut body = String::new();
            let read = request.as_reader().take(MAX_BYTES as u64 + 1).read_to_string(&mut body);
            match read {
                Ok(_) if body.len() > MAX_BYTES => Err((413, "the request is too long".into())),
                Ok(_) => predict(model, &body).map_err(|error| (400, error.to_string())),
                Err(error) => Err((400, format!("the request cannot be read: {error}"))),
            }
        }
        (_, "/predict") => Err((405, "send images by POST".into())),
        _ => Err((404, "there is only `POST /predict`".into())),
    };
    let (status, text) = match result {
        Ok(response) => (200, serde_json::to_string(&response)?),
        Err((status, error)) => (status, serde_json::json!({ "error": error }).to_string()),
    };
    let response = Response::from_string(text).with_status_code(status);
    match Header::from_bytes("Content-Type", "application/json") {
        Ok(header) => request.respond(response.with_header(header)),
        Err(()) => request.respond(response),
    }
}

fn predict(model: &Model<Digits>, body: &str) -> bilro::Result<PredictResponse> {
    let PredictRequest { images } = serde_json::from_str(body).map_err(Error::other)?;
    if images.len() > MAX_IMAGES {
        return Err(format!("there are {} images; at most {MAX_IMAGES}", images.len()).into());
    }
    if let Some((i, image)) = images.iter().enumerate().find(|(_, image)| image.len() != 64) {
        return Err(format!("image {i} has {} numbers instead of 64", image.len()).into());
    }
    let image = Array2::from_shape_vec((images.len(), 64), images.concat())?;
    let logits = model.predict(digits::Input { image: image.view() })?.logits;
    let probabilities = tensor::softmax(&logits, 1)?;
    Ok(PredictResponse {
        digits: tensor::argmax(&logits, 1)?.iter().copied().collect(),
        probabilities: probabilities.axis_iter(Axis(0)).map(|row| row.to_vec()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use serde_json::Value;

    use super::*;

    /// The status and the JSON of a response.
    fn send(server: &Server, method: &str, path: &str, body: &str) -> (u16, Value) {
        let address = server.server_addr().to_ip().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn several_threads_serve_predictions_and_report_invalid_requests() {
        let options = Options::parse_from(["serve", "--port", "0"]);
        let model = Arc::new(model(&options).unwrap());
        let server = Server::http(("127.0.0.1", 0)).unwrap();
        let stop = AtomicBool::new(false);
        let data = data::digits().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| serve(&server, &model, 2, &stop));
            let clients: Vec<_> = (0..4)
                .map(|client| {
                    let (server, data) = (&server, &data);
                    scope.spawn(move || {
                        let rows = 10 * client..10 * (client + 1);
                        let images: Vec<Vec<f32>> =
                            rows.clone().map(|row| data.x().row(row).to_vec()).collect();
                        let body = serde_json::json!({ "images": images }).to_string();
                        let (status, answer) = send(server, "POST", "/predict", &body);
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
            let right: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
            let long = format!("{{\"images\": [[{}]]}}", "0,".repeat(MAX_BYTES / 2));
            let mistakes: Vec<_> = [
                ("POST", "/predict", "{", 400, "EOF"),
                ("POST", "/predict", r#"{"images": [[1, 2]]}"#, 400, "2 numbers instead of 64"),
                ("POST", "/predict", r#"{"images": []}"#, 400, "no examples"),
                ("POST", "/predict", r#"{"image": []}"#, 400, "unknown field `image`"),
                ("POST", "/predict", &long, 413, "too long"),
                ("GET", "/predict", "", 405, "POST"),
                ("GET", "/", "", 404, "POST /predict"),
            ]
            .map(|(method, path, body, status, message)| {
                (send(&server, method, path, body), status, message)
            })
            .into();
            stop.store(true, Ordering::Relaxed);
            assert!(right > 30, "{right} of 40");
            for ((status, answer), expected, message) in mistakes {
                let error = answer["error"].as_str().unwrap_or_default();
                assert!(status == expected && error.contains(message), "{status}: {answer}");
            }
        });
    }

    #[test]
    fn a_missing_file_of_weights_is_named() {
        let options = Options::parse_from(["serve", "--weights", "no/such/file"]);
        let error = model(&options).unwrap_err().to_string();
        assert!(error.starts_with("no/such/file"), "{error}");
    }
}
