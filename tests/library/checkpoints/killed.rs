//! Training in child processes, which are killed, interrupted, or have another instruction set: they
//! run this program with the name of one test, `trains`, which reads environment variables.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use bilro::rng::Generator;

use super::*;

const FOLDER: &str = "BILRO_TEST_CHECKPOINTS";
const SETUP: &str = "BILRO_TEST_SETUP";
const TOTAL: &str = "BILRO_TEST_EPOCHS";

/// The child process: resumes from the newest checkpoint of a folder.
#[test]
fn trains() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let (setup, epochs) = (&SETUPS[number(SETUP)], number(TOTAL));
    let (train, test) = data();
    let mut trainer = (setup.trainer)().seed(5).build().unwrap();
    let fit = (setup.fit)(epochs, &test)
        .checkpoints(folder)
        .checkpoint_every(Every::Steps(1))
        .keep_checkpoints(2)
        .resume(true)
        .stop_on_ctrl_c(true);
    println!("\nbegins");
    let history = trainer.fit_with(&train, fit, |_, _| println!("\nepoch")).unwrap();
    println!("\n{:?}", history.stop);
    println!("\nends {}", digest(&outcome(&mut trainer, &history)));
}

struct Process {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

fn start(folder: &Path, setup: usize, epochs: usize, variables: &[(&str, String)]) -> Process {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "checkpoints::killed::trains", "--nocapture"])
        .env(FOLDER, folder)
        .env(SETUP, setup.to_string())
        .env(TOTAL, epochs.to_string())
        .envs(variables.iter().cloned())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Process { child, lines: Box::new(lines.map_while(Result::ok)) }
}

impl Process {
    /// Waits for a line.
    fn wait_for(&mut self, line: &str) {
        assert!(self.lines.any(|found| found == line), "it ended without `{line}`");
    }

    /// The digest that it prints at its end.
    fn end(mut self) -> String {
        let digest = self.lines.by_ref().find_map(|l| l.strip_prefix("ends ").map(String::from));
        assert!(self.child.wait().unwrap().success());
        digest.expect("it prints a digest")
    }
}

/// The number of steps of the newest checkpoint.
fn newest(folder: &Path) -> usize {
    let names = files(folder).into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.strip_prefix("checkpoint-")?.to_string();
        name.parse().ok()
    });
    names.max().unwrap_or(0)
}

const KILLS: u32 = 30;

/// Batches of an epoch in the first setup.
const BATCHES: usize = 5;

#[test]
fn training_killed_at_any_moment_ends_with_the_bits_of_uninterrupted_training() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = u64::from(now.subsec_nanos());
    println!("seed {seed}");
    let mut random = Generator::new(seed);
    let mut below = |n: u32| random.random_u32() % n;
    let folder = tempfile::tempdir().unwrap();
    let (mut while_writing, mut moments) = (0, Vec::new());
    for kill in 0..KILLS {
        let threads = (1 + kill % 2).to_string();
        let mut process = start(folder.path(), 0, 1_000_000, &[("BILRO_THREADS", threads)]);
        // Some are killed while starting and reading, most while training and writing.
        if below(6) > 0 {
            process.wait_for("begins");
            (0..below(3)).for_each(|_| process.wait_for("epoch"));
        }
        std::thread::sleep(Duration::from_micros(below(20_000).into()));
        // SIGKILL.
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        let is_unfinished = |path: &PathBuf| path.extension().is_some_and(|e| e == "tmp");
        while_writing += usize::from(files(folder.path()).iter().any(is_unfinished));
        moments.push(newest(folder.path()));
    }
    println!("killed after steps {moments:?}, {while_writing} times while writing");
    assert!(newest(folder.path()) > 0);
    let epochs = newest(folder.path()) / BATCHES + 2;
    let found = start(folder.path(), 0, epochs, &[]).end();
    let setup = &SETUPS[0];
    let (train, test) = data();
    let mut trainer = (setup.trainer)().seed(5).threads(1).build().unwrap();
    let history = trainer.fit(&train, (setup.fit)(epochs, &test)).unwrap();
    assert_eq!(history.losses.len(), BATCHES * epochs);
    assert_eq!(found, digest(&outcome(&mut trainer, &history)), "seed {seed}");
    // Unfinished files of killed processes are removed, and so are old checkpoints.
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn training_resumes_with_another_instruction_set_and_number_of_threads() {
    for (number, setup) in SETUPS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let (expected, files) = trained(setup, folder.path());
        // In the middle of the third epoch.
        let middle = &files[12];
        for (target, threads) in bilro_compiler::target::host::targets().into_iter().zip([1, 2, 1])
        {
            let isa = target.name;
            let copy = tempfile::tempdir().unwrap();
            fs::copy(middle, copy.path().join(middle.file_name().unwrap())).unwrap();
            let variables =
                [("BILRO_ISA", isa.to_string()), ("BILRO_THREADS", threads.to_string())];
            let found = start(copy.path(), number, EPOCHS, &variables).end();
            assert_eq!(found, digest(&expected), "{} by {isa}", setup.name);
        }
    }
}

fn send(signal: &str, process: &Process) {
    let kill = format!("kill -{signal} {}", process.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[test]
fn ctrl_c_and_sigterm_write_a_checkpoint() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        // A setup that accumulates batches.
        let setup = 2;
        let mut process = start(folder.path(), setup, 1_000_000, &[]);
        process.wait_for("epoch");
        send(signal, &process);
        process.wait_for("Interrupted");
        process.end();
        let steps = newest(folder.path());
        let epochs = steps / 4 + 2;
        let found = start(folder.path(), setup, epochs, &[]).end();
        let (train, test) = data();
        let mut trainer = (SETUPS[setup].trainer)().seed(5).build().unwrap();
        let history = trainer.fit(&train, (SETUPS[setup].fit)(epochs, &test)).unwrap();
        assert_eq!(found, digest(&outcome(&mut trainer, &history)), "{signal}");
    }
}
