//! Ctrl-C during training, and on Unix SIGTERM.
//!
//! One handler of each serves the process. It knows who listens: a press of Ctrl-C, or a SIGTERM, is
//! for all that have not heard one yet; where there is none, it ends the program, as it would
//! without a handler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// One who listens, until it is dropped.
pub(super) struct Listener {
    /// Whether Ctrl-C has been pressed since, or SIGTERM been sent.
    pressed: Arc<AtomicBool>,
    #[cfg(unix)]
    terminated: signal_hook::SigId,
}

/// Everyone who listens, and whether the handlers are there.
struct Listeners {
    installed: bool,
    all: Vec<Arc<AtomicBool>>,
    /// Whether all have heard, so that the next SIGTERM ends the program. Its handler has no time to
    /// look for itself.
    unheard: Option<Arc<AtomicBool>>,
}

static LISTENERS: Mutex<Listeners> =
    Mutex::new(Listeners { installed: false, all: Vec::new(), unheard: None });

/// What it guards is right whenever it is let go.
fn listeners() -> MutexGuard<'static, Listeners> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a shell reports of a program that Ctrl-C has ended: 128 and the number
/// of the signal.
const ENDED_BY_CTRL_C: i32 = 130;

fn refused(error: impl ToString) -> Error {
    Error::CtrlC { message: error.to_string() }
}

impl Listener {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Error::CtrlC`] where the program has set another handler with `ctrlc`,
    /// or the system allows none.
    pub fn new() -> Result<Listener> {
        let mut listeners = listeners();
        if !listeners.installed {
            ctrlc::set_handler(press).map_err(refused)?;
            listeners.installed = true;
        }
        #[cfg(unix)]
        if listeners.unheard.is_none() {
            listeners.unheard = Some(end_by_the_second()?);
        }
        let pressed = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            #[cfg(unix)]
            terminated: signal_hook::flag::register(SIGTERM, pressed.clone()).map_err(refused)?,
            pressed: pressed.clone(),
        };
        listeners.all.push(pressed);
        listeners.update();
        Ok(listener)
    }

    /// Whether Ctrl-C has been pressed, or SIGTERM been sent, since it listens.
    pub fn is_pressed(&self) -> bool {
        // It guards no other memory.
        self.pressed.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = listeners();
        #[cfg(unix)]
        signal_hook::low_level::unregister(self.terminated);
        listeners.all.retain(|pressed| !Arc::ptr_eq(pressed, &self.pressed));
        listeners.update();
    }
}

impl Listeners {
    /// Whether a SIGTERM is to end the program.
    fn update(&self) {
        if let Some(unheard) = &self.unheard {
            let all_have_heard = self.all.iter().all(|pressed| pressed.load(Ordering::Relaxed));
            unheard.store(all_have_heard, Ordering::Relaxed);
        }
    }
}

#[cfg(unix)]
use signal_hook::consts::SIGTERM;

/// A flag for SIGTERM to do what it does without a handler; the first SIGTERM that finds it `false` sets it.
#[cfg(unix)]
fn end_by_the_second() -> Result<Arc<AtomicBool>> {
    let unheard = Arc::new(AtomicBool::new(true));
    // They are run in this order.
    signal_hook::flag::register_conditional_default(SIGTERM, unheard.clone()).map_err(refused)?;
    signal_hook::flag::register(SIGTERM, unheard.clone()).map_err(refused)?;
    Ok(unheard)
}

/// On a thread that `ctrlc` keeps for it.
fn press() {
    let listeners = listeners();
    let all = listeners.all.iter();
    let heard = all.fold(false, |heard, pressed| heard | !pressed.swap(true, Ordering::Relaxed));
    listeners.update();
    drop(listeners);
    if !heard {
        std::process::exit(ENDED_BY_CTRL_C);
    }
}
