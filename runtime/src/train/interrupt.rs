//! Ctrl-C during training, and SIGTERM on Unix.
//!
//! One handler each for the process, with a list of listeners. A press of Ctrl-C, or a SIGTERM, is
//! delivered to all listeners that have not received one yet; if there is none, it
//! ends the program, as without a handler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(unix)]
use signal_hook::consts::SIGTERM;

use crate::error::{Error, Result};

/// A listener, until it is dropped.
pub(super) struct Listener {
    /// Whether a signal has been delivered to it.
    pressed: Arc<AtomicBool>,
    #[cfg(unix)]
    on_sigterm: signal_hook::SigId,
}

/// All listeners, and whether the handlers are installed.
struct Listeners {
    installed: bool,
    all: Vec<Arc<AtomicBool>>,
    /// Whether the next SIGTERM ends the program: all listeners have received a signal. The handler of
    /// SIGTERM may only read and write flags.
    #[cfg(unix)]
    ends: Option<Arc<AtomicBool>>,
}

static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners {
    installed: false,
    all: Vec::new(),
    #[cfg(unix)]
    ends: None,
});

/// Ignores poisoning: the list is consistent whenever the lock is released.
fn listeners() -> MutexGuard<'static, Listeners> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The exit code of a program that Ctrl-C has ended, as a shell reports it: 128 plus the number
/// of the signal.
const ENDED_BY_CTRL_C: i32 = 130;

fn rejected(error: impl ToString) -> Error {
    Error::CtrlC { message: error.to_string() }
}

impl Listener {
    /// A listener from now on.
    ///
    /// # Errors
    /// [`Error::CtrlC`] if the program has set another handler with `ctrlc`, or the
    /// system does not allow one.
    pub fn new() -> Result<Listener> {
        let mut listeners = listeners();
        if !listeners.installed {
            ctrlc::set_handler(press).map_err(rejected)?;
            listeners.installed = true;
        }
        #[cfg(unix)]
        if listeners.ends.is_none() {
            listeners.ends = Some(handle_sigterm()?);
        }
        let pressed = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            #[cfg(unix)]
            on_sigterm: signal_hook::flag::register(SIGTERM, pressed.clone()).map_err(rejected)?,
            pressed: pressed.clone(),
        };
        listeners.all.push(pressed);
        listeners.update();
        Ok(listener)
    }

    /// Whether a signal has been delivered since the listener was made.
    pub fn is_pressed(&self) -> bool {
        // Relaxed: the flag orders no other memory.
        self.pressed.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = listeners();
        #[cfg(unix)]
        signal_hook::low_level::unregister(self.on_sigterm);
        listeners.all.retain(|pressed| !Arc::ptr_eq(pressed, &self.pressed));
        listeners.update();
    }
}

impl Listeners {
    /// Updates the flag of the handler of SIGTERM.
    fn update(&self) {
        #[cfg(unix)]
        if let Some(ends) = &self.ends {
            let delivered = self.all.iter().all(|pressed| pressed.load(Ordering::Relaxed));
            ends.store(delivered, Ordering::Relaxed);
        }
    }
}

/// Installs the handler of SIGTERM: if the flag is set, it ends the program by the signal, and
/// otherwise sets the flag. Listeners register flags of their own after it.
#[cfg(unix)]
fn handle_sigterm() -> Result<Arc<AtomicBool>> {
    let ends = Arc::new(AtomicBool::new(true));
    // The handler runs its actions in the order of registration.
    signal_hook::flag::register_conditional_default(SIGTERM, ends.clone()).map_err(rejected)?;
    signal_hook::flag::register(SIGTERM, ends.clone()).map_err(rejected)?;
    Ok(ends)
}

/// The handler of Ctrl-C; runs on a thread of `ctrlc`.
fn press() {
    let listeners = listeners();
    let delivered = listeners
        .all
        .iter()
        .fold(false, |delivered, pressed| delivered | !pressed.swap(true, Ordering::Relaxed));
    listeners.update();
    drop(listeners);
    if !delivered {
        std::process::exit(ENDED_BY_CTRL_C);
    }
}
