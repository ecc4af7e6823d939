//! Ctrl-C during training.
//!
//! One handler for the process, with a list of listeners. A press of Ctrl-C is
//! delivered to all listeners that have not received one yet; if there is none, it
//! ends the program, as without a handler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// A listener for Ctrl-C, until it is dropped.
pub(super) struct Listener {
    /// Whether Ctrl-C has been pressed since it was made.
    pressed: Arc<AtomicBool>,
}

/// All listeners, and whether the handler is installed.
struct Listeners {
    installed: bool,
    all: Vec<Arc<AtomicBool>>,
}

static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners { installed: false, all: Vec::new() });

/// Ignores poisoning: the list is consistent whenever the lock is released.
fn listeners() -> MutexGuard<'static, Listeners> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The exit code that shells report for a program ended by Ctrl-C: 128 plus the number
/// of the signal.
const ENDED_BY_CTRL_C: i32 = 130;

impl Listener {
    /// A listener from now on.
    ///
    /// # Errors
    /// [`Error::CtrlC`] if the program has set another handler with `ctrlc`, or the
    /// system does not allow one.
    pub fn new() -> Result<Listener> {
        let mut listeners = listeners();
        if !listeners.installed {
            ctrlc::set_handler(press).map_err(|e| Error::CtrlC { message: e.to_string() })?;
            listeners.installed = true;
        }
        let pressed = Arc::new(AtomicBool::new(false));
        listeners.all.push(pressed.clone());
        Ok(Listener { pressed })
    }

    /// Whether Ctrl-C has been pressed since the listener was made.
    pub fn is_pressed(&self) -> bool {
        // Relaxed: the flag orders no other memory.
        self.pressed.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        listeners().all.retain(|pressed| !Arc::ptr_eq(pressed, &self.pressed));
    }
}

/// The handler; runs on a thread of `ctrlc`.
fn press() {
    let delivered = listeners()
        .all
        .iter()
        .fold(false, |delivered, pressed| delivered | !pressed.swap(true, Ordering::Relaxed));
    if !delivered {
        std::process::exit(ENDED_BY_CTRL_C);
    }
}
