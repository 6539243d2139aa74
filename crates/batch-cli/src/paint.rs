//! Colours on a terminal: [`paints`], as `--color` and `NO_COLOR` say.

use std::env;
use std::io::IsTerminal;
use std::sync::OnceLock;

use batch_actions::State;
use batch_export::Color;
use clap::ValueEnum;

use crate::terminal::is_dumb;

/// Where colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

static WHEN: OnceLock<ColorWhen> = OnceLock::new();

/// Says where colours are used, once and before anything is shown.
pub(crate) fn set_colors(when: ColorWhen) {
    let _ = WHEN.set(when);
}

/// Whether what goes to a stream has colours.
pub(crate) fn paints(stream: &impl IsTerminal) -> bool {
    let is_unwanted = || {
        let unwanted = env::var_os("NO_COLOR");
        unwanted.is_some_and(|value| !value.is_empty()) || is_dumb()
    };
    match WHEN.get().copied().unwrap_or_default() {
        ColorWhen::Auto => stream.is_terminal() && !is_unwanted(),
        ColorWhen::Always => true,
        ColorWhen::Never => false,
    }
}

/// A text of ours in the colour of a state.
pub(crate) fn painted(text: &str, state: State, paints: bool) -> String {
    let color = match state {
        State::Completed => Color::Completed,
        State::Failed => Color::Failed,
        State::Stopped | State::Interrupted | State::Incomplete => Color::Cancelled,
        State::New | State::Running | State::Idle | State::Paused => return text.to_owned(),
    };
    match paints {
        true => color.paint(text),
        false => text.to_owned(),
    }
}
