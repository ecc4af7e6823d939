//! An HTTP server that recognises handwritten digits: one model for all requests.
//!
//! ```sh
//! cargo run --release --example serve -- --weights digits.safetensors --port 8000
//! curl --json '{"images": [[0, 0, 0.3, ...]]}' http://localhost:8000/predict
//! ```
//!
//! An image is a list of 64 numbers from 0 to 1; the response has the digit and
//! the ten probabilities of each. An invalid request gets status 400 with an
//! `error` message. Ctrl-C and SIGTERM complete running requests.

use std::future::IntoFuture;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use bilro::ndarray::{Array2, Axis};
use bilro::prelude::*;
use bilro::tensor;
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::{runtime, signal, time};

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
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    threads: u16,
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
    let app = router(Arc::new(model(options)?));
    let threads = options.threads.into();
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((options.address.as_str(), options.port)).await?;
        let _ = writeln!(std::io::stdout(), "listening at http://{}", listener.local_addr()?);
        let server = axum::serve(listener, app).with_graceful_shutdown(stop_signal());
        tokio::select! {
            result = server.into_future() => Ok(result?),
            // What is still open then is a client that does not complete its request.
            () = async { stop_signal().await; time::sleep(TIMEOUT).await } => Ok(()),
        }
    })
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        tokio::select! { _ = signal::ctrl_c() => (), _ = terminate.recv() => () }
        return;
    }
    let _ = signal::ctrl_c().await;
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
const TIMEOUT: Duration = Duration::from_secs(5);

/// A response with the reason why there is no prediction.
type Failure = (StatusCode, Json<Value>);

fn failure(status: StatusCode, error: impl ToString) -> Failure {
    (status, Json(json!({ "error": error.to_string() })))
}

fn router(model: Arc<Model<Digits>>) -> Router {
    let not_post = failure(StatusCode::METHOD_NOT_ALLOWED, "send images by POST");
    let not_found = failure(StatusCode::NOT_FOUND, "there is only `POST /predict`");
    Router::new()
        .route("/predict", post(predict).fallback(|| async { not_post }))
        .fallback(|| async { not_found })
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .layer(middleware::from_fn(limit_time))
        .with_state(model)
}

async fn limit_time(request: Request, next: Next) -> Result<Response, Failure> {
    let response = time::timeout(TIMEOUT, next.run(request)).await;
    response.map_err(|_| failure(StatusCode::REQUEST_TIMEOUT, "the request is too slow"))
}

async fn predict(
    State(model): State<Arc<Model<Digits>>>,
    request: Result<Json<PredictRequest>, JsonRejection>,
) -> Result<Json<PredictResponse>, Failure> {
    let Json(PredictRequest { images }) = request.map_err(|error| match error {
        JsonRejection::JsonDataError(error) => failure(StatusCode::BAD_REQUEST, error.body_text()),
        error => failure(error.status(), error.body_text()),
    })?;
    // Without `spawn_blocking`: an image takes microseconds, less than a change of threads. A
    // larger network would keep this thread's connections waiting.
    let response = recognise(&model, &images);
    response.map(Json).map_err(|error| failure(StatusCode::BAD_REQUEST, error))
}

fn recognise(model: &Model<Digits>, images: &[Vec<f32>]) -> bilro::Result<PredictResponse> {
    if images.len() > MAX_IMAGES {
        return Err(format!("there are {} images; at most {MAX_IMAGES}", images.len()).into());
    }
    for (i, image) in images.iter().enumerate() {
        if image.len() != 64 {
            return Err(format!("image {i} has {} numbers instead of 64", image.len()).into());
        }
        if !image.iter().all(|x| x.is_finite()) {
            return Err(format!("image {i} has a number that is too large").into());
        }
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
    use std::io::Read;
    use std::net::{SocketAddr, TcpStream};
    use std::thread;

    use super::*;

    /// A server on two threads, until the runtime is dropped.
    fn start() -> (runtime::Runtime, SocketAddr) {
        let model = model(&Options::parse_from(["serve"])).unwrap();
        let mut runtime = runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(axum::serve(listener, router(Arc::new(model))).into_future());
        (runtime, address)
    }

    /// Sends a request that claims a length of its body.
    fn send(address: SocketAddr, request: &str, length: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json";
        let head = format!("{request} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    /// The status and the JSON of a response.
    fn receive(mut stream: TcpStream) -> (u16, Value) {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    #[test]
    fn several_threads_serve_predictions() {
        let (_server, address) = start();
        let data = data::digits().unwrap();
        let right = |client: usize| {
            let rows = 10 * client..10 * (client + 1);
            let images: Vec<_> = rows.clone().map(|row| data.x().row(row).to_vec()).collect();
            let body = json!({ "images": images }).to_string();
            let stream = send(address, "POST /predict", &body.len().to_string(), &body);
            let (status, answer) = receive(stream);
            assert_eq!(status, 200, "{answer}");
            assert_eq!(answer["probabilities"][9].as_array().unwrap().len(), 10);
            let digits: Vec<u32> = serde_json::from_value(answer["digits"].clone()).unwrap();
            digits.iter().zip(rows).filter(|(digit, row)| **digit == data.y()[*row]).count()
        };
        let right: usize = thread::scope(|scope| {
            let clients = [0, 1, 2, 3].map(|client| scope.spawn(move || right(client)));
            clients.map(|client| client.join().unwrap()).iter().sum()
        });
        assert!(right > 30, "{right} of 40");
    }

    #[test]
    fn invalid_requests_get_an_error_and_slow_clients_do_not_block_others() {
        let (_server, address) = start();
        // More than there are threads, and with lengths beyond any memory.
        let slow = ["5000", "5000", "1000000000000000000", "1000000000000000000"]
            .map(|length| send(address, "POST /predict", length, "{"));
        for length in ["1000000000000000000000000", "-1"] {
            assert_eq!(receive(send(address, "POST /predict", length, "{")).0, 400, "{length}");
        }
        let long = format!("{{\"images\": [[{}]]}}", "0,".repeat(MAX_BYTES / 2));
        let many = json!({ "images": vec![[0]; MAX_IMAGES + 1] }).to_string();
        let infinite = format!("{{\"images\": [[{}1e39]]}}", "0,".repeat(63));
        for (request, body, expected, message) in [
            ("POST /predict", "{", 400, "EOF"),
            ("POST /predict", r#"{"images": [[1, 2]]}"#, 400, "2 numbers instead of 64"),
            ("POST /predict", r#"{"images": [["a"]]}"#, 400, "images[0][0]"),
            ("POST /predict", r#"{"images": []}"#, 400, "no examples"),
            ("POST /predict", r#"{"image": []}"#, 400, "unknown field `image`"),
            ("POST /predict", &many, 400, "1001 images; at most 1000"),
            ("POST /predict", &infinite, 400, "image 0 has a number that is too large"),
            ("POST /predict", &long, 413, "length limit"),
            ("GET /predict", "", 405, "POST"),
            ("GET /", "", 404, "POST /predict"),
        ] {
            let (status, answer) = receive(send(address, request, &body.len().to_string(), body));
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(status == expected && error.contains(message), "{status}: {answer}");
        }
        for stream in slow {
            assert_eq!(receive(stream).0, 408);
        }
    }

    #[test]
    fn a_missing_file_of_weights_is_named() {
        let options = Options::parse_from(["serve", "--weights", "no/such/file"]);
        let error = model(&options).unwrap_err().to_string();
        assert!(error.starts_with("no/such/file"), "{error}");
    }
}
