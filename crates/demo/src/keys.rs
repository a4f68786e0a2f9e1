//! Single key presses from the terminal, lines where standard input is none.

use std::io::{self, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Puts the terminal back as it was when dropped.
#[derive(Debug)]
pub(crate) struct Keys {
    pressed: mpsc::Receiver<char>,
    before: Option<Termios>,
}

impl Keys {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        }
        let (sender, pressed) = mpsc::channel(16);
        // A thread of its own and not the runtime's: a read cannot be broken off, and the runtime
        // would wait for it at the end.
        std::thread::spawn(move || {
            for byte in io::stdin().lock().bytes().map_while(Result::ok) {
                if sender.blocking_send(char::from(byte)).is_err() {
                    break;
                }
            }
        });
        Ok(Self { pressed, before })
    }

    /// The next key; `None` at the end of the input and after an interrupt.
    pub(crate) async fn next(&mut self) -> Option<char> {
        tokio::select! {
            key = self.pressed.recv() => key,
            _ = tokio::signal::ctrl_c() => None,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The terminal may be gone, and this program goes too.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
