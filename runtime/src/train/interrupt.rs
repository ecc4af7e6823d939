//! Ctrl-C during training.
//!
//! One handler serves the process. It knows who listens: a press of Ctrl-C is
//! for all that have not heard one yet; where there is none, it ends the
//! program, as it would without a handler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// One who listens, until it is dropped.
pub(super) struct Listener {
    /// Whether Ctrl-C has been pressed since.
    pressed: Arc<AtomicBool>,
}

/// Everyone who listens, and whether the handler is there.
struct Listeners {
    installed: bool,
    all: Vec<Arc<AtomicBool>>,
}

static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners { installed: false, all: Vec::new() });

/// What it guards is right whenever it is let go.
fn listeners() -> MutexGuard<'static, Listeners> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a shell reports of a program that Ctrl-C has ended: 128 and the number
/// of the signal.
const ENDED_BY_CTRL_C: i32 = 130;

impl Listener {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Error::CtrlC`] where the program has set another handler with `ctrlc`,
    /// or the system allows none.
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

    /// Whether Ctrl-C has been pressed since it listens.
    pub fn is_pressed(&self) -> bool {
        // It guards no other memory.
        self.pressed.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        listeners().all.retain(|pressed| !Arc::ptr_eq(pressed, &self.pressed));
    }
}

/// On a thread that `ctrlc` keeps for it.
fn press() {
    let heard = listeners()
        .all
        .iter()
        .fold(false, |heard, pressed| heard | !pressed.swap(true, Ordering::Relaxed));
    if !heard {
        std::process::exit(ENDED_BY_CTRL_C);
    }
}
