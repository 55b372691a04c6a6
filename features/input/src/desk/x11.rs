//! X11: strokes by the XTEST extension (its protocol, version 2.2). Characters that are on no key are put on a spare key for
//! as long as they are typed.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use x11rb_protocol::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeKeyboardMappingRequest, GetKeyboardMappingRequest,
    GetPointerMappingRequest, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, QueryExtensionRequest,
    QueryPointerRequest, Window,
};
use x11rb_protocol::protocol::xtest::{FakeInputRequest, X11_EXTENSION_NAME};

use super::wire::Wire;
use super::{Desk, DeskError, keys};
use crate::{Button, Key, Modifier, Stroke};

/// Spare keys that are used: programs look up what a key means after they were told of it, so the same one is not given
/// another meaning right away.
const MOST_SPARES: usize = 24;
const RESTS: Duration = Duration::from_millis(250);
/// Characters that are typed before the server is waited for.
const AT_ONCE: usize = 16;
/// Moves that are sent before the server is waited for.
const MOVES: u32 = 32;
/// In the state of the keyboard: capitals are locked, or another layout than the first is chosen (XKB protocol, 2.2.2).
const LOCK: u16 = 1 << 1;
const LAYOUT: u16 = 0b11 << 13;

/// One X server's pointer and keyboard.
pub(super) struct X11 {
    wire: Wire,
    xtest: u8,
    root: Window,
    width: f64,
    keymap: Keymap,
    /// The server's own numbers of the buttons, in its order.
    buttons: Vec<u8>,
    spares: Vec<Spare>,
    /// Parts of pixels that the pointer is still to be moved.
    rest: (f64, f64),
    moves: u32,
}

struct Keymap {
    first: u8,
    per_key: usize,
    syms: Vec<u32>,
}

/// A key that the keyboard does not have, with what is on it now.
struct Spare {
    code: u8,
    sym: u32,
    used: Option<Instant>,
}

impl X11 {
    pub async fn open(display: &str) -> Result<Self, DeskError> {
        let (mut wire, setup) = Wire::connect(display).await?;
        let name = Cow::Borrowed(X11_EXTENSION_NAME.as_bytes());
        let extension = wire.ask(QueryExtensionRequest { name }).await?;
        if !extension.present {
            return Err(DeskError::None("this X server has no XTEST extension".into()));
        }
        let root = setup.roots.first().ok_or_else(|| DeskError::None("this X server has no screen".into()))?;
        let buttons = wire.ask(GetPointerMappingRequest).await?.map;
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let keymap = Keymap::read(&mut wire, first, last).await?;
        let spares = keymap.spares();
        Ok(Self {
            wire,
            xtest: extension.major_opcode,
            root: root.root,
            width: f64::from(root.width_in_pixels),
            keymap,
            buttons,
            spares,
            rest: (0.0, 0.0),
            moves: 0,
        })
    }

    fn fake(&mut self, kind: u8, detail: u8, (x, y): (i16, i16)) {
        let request = FakeInputRequest { type_: kind, detail, time: 0, root: 0, root_x: x, root_y: y, deviceid: 0 };
        self.wire.put(request, self.xtest);
    }

    /// `button` counts as people's hands do: the server's order may be another one for left hands.
    fn press(&mut self, button: u8, kinds: &[u8]) {
        let at = self.buttons.iter().position(|logical| *logical == button);
        let physical = at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(button);
        kinds.iter().for_each(|kind| self.fake(*kind, physical, (0, 0)));
    }

    async fn shift_by(&mut self, dx: f64, dy: f64) -> Result<(), DeskError> {
        let (x, y) = (self.rest.0 + dx, self.rest.1 + dy);
        let whole = |amount: f64| amount.trunc().clamp(f64::from(i16::MIN), f64::from(i16::MAX));
        let by = (whole(x), whole(y));
        self.rest = (x.fract(), y.fract());
        if by == (0.0, 0.0) {
            return Ok(());
        }
        // Detail 1: from where it is.
        self.fake(MOTION_NOTIFY_EVENT, 1, (by.0 as i16, by.1 as i16));
        self.moves += 1;
        match self.moves.is_multiple_of(MOVES) {
            true => self.wire.sync().await,
            false => self.wire.flush().await,
        }
    }

    async fn tap(&mut self, sym: u32, held: &[Modifier], only_spares: bool) -> Result<(), DeskError> {
        let (code, shift) = self.code(sym, only_spares).await?;
        let mut holds = Vec::new();
        for modifier in held {
            let sym = keys::of_modifier(*modifier);
            let (code, _) = self
                .keymap
                .find(sym)
                .ok_or_else(|| DeskError::Refused(format!("there is no {} on this keyboard", modifier.word())))?;
            holds.push(code);
        }
        if shift && !held.contains(&Modifier::Shift) {
            holds.extend(self.keymap.find(keys::of_modifier(Modifier::Shift)).map(|(code, _)| code));
        }
        holds.iter().for_each(|code| self.fake(KEY_PRESS_EVENT, *code, (0, 0)));
        self.fake(KEY_PRESS_EVENT, code, (0, 0));
        self.fake(KEY_RELEASE_EVENT, code, (0, 0));
        holds.iter().rev().for_each(|code| self.fake(KEY_RELEASE_EVENT, *code, (0, 0)));
        Ok(())
    }

    /// The key that has this on it, and whether it needs shift. What is on none is put on a spare one.
    async fn code(&mut self, sym: u32, only_spares: bool) -> Result<(u8, bool), DeskError> {
        if let Some(found) = self.keymap.find(sym).filter(|_| !only_spares) {
            return Ok(found);
        }
        let now = Instant::now();
        if let Some(spare) = self.spares.iter_mut().find(|spare| spare.sym == sym) {
            spare.used = Some(now);
            return Ok((spare.code, false));
        }
        let oldest = self.spares.iter_mut().min_by_key(|spare| spare.used);
        let spare =
            oldest.ok_or_else(|| DeskError::Refused("this keyboard has no spare key for that character".into()))?;
        let (code, used) = (spare.code, spare.used);
        (spare.sym, spare.used) = (sym, Some(now));
        if let Some(rest) = used.and_then(|used| (used + RESTS).checked_duration_since(now)) {
            self.wire.sync().await?;
            tokio::time::sleep(rest).await;
        }
        self.put_on(code, sym);
        Ok((code, false))
    }

    /// The same on all its levels, so that neither shift nor capitals nor layouts change it.
    fn put_on(&mut self, code: u8, sym: u32) {
        let per_key = u8::try_from(self.keymap.per_key).unwrap_or(u8::MAX);
        let keysyms = Cow::Owned(vec![sym; usize::from(per_key)]);
        let request = ChangeKeyboardMappingRequest {
            keycode_count: 1,
            first_keycode: code,
            keysyms_per_keycode: per_key,
            keysyms,
        };
        self.wire.put(request, 0);
    }

    /// Whether keys mean something else now than their first layout says.
    async fn is_shifted(&mut self) -> Result<bool, DeskError> {
        let state = self.wire.ask(QueryPointerRequest { window: self.root }).await?;
        let others = std::mem::take(&mut self.wire.remapped);
        let is_ours = |(first, count): &(u8, u8)| *count == 1 && self.spares.iter().any(|spare| spare.code == *first);
        if !others.iter().all(is_ours) {
            let last = self.keymap.last();
            self.keymap = Keymap::read(&mut self.wire, self.keymap.first, last).await?;
            self.keymap.without(&self.spares);
        }
        Ok(u16::from(state.mask) & (LOCK | LAYOUT) != 0)
    }
}

#[async_trait]
impl Desk for X11 {
    async fn play(&mut self, stroke: &Stroke) -> Result<(), DeskError> {
        const TAP: [u8; 2] = [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT];
        match stroke {
            Stroke::Move { dx, dy } => return self.shift_by(*dx, *dy).await,
            Stroke::Point { dx, dy } => return self.shift_by(dx * self.width, dy * self.width).await,
            // Buttons 4 to 7 are the wheel's, by convention.
            Stroke::Scroll { dx, dy } => match (dx.abs() > dy.abs(), *dx > 0.0, *dy > 0.0) {
                (true, right, _) => self.press(if right { 7 } else { 6 }, &TAP),
                (false, _, up) => self.press(if up { 4 } else { 5 }, &TAP),
            },
            Stroke::Click(button, times) => (0..*times).for_each(|_| self.press(number(*button), &TAP)),
            Stroke::Hold(button) => self.press(number(*button), &[BUTTON_PRESS_EVENT]),
            Stroke::Release(button) => self.press(number(*button), &[BUTTON_RELEASE_EVENT]),
            Stroke::Key(key, held) => {
                let is_shifted = self.is_shifted().await?;
                let only_spares = is_shifted && matches!(key, Key::Char(_));
                self.tap(keys::of_key(*key), &keys::held(*key, held), only_spares).await?;
            }
            Stroke::Type(text) => {
                let only_spares = self.is_shifted().await?;
                for (at, char) in keys::typed(text).enumerate() {
                    let sym = keys::of_char(char);
                    self.tap(sym, &[], only_spares && !matches!(sym, keys::RETURN | keys::TAB)).await?;
                    if at % AT_ONCE == AT_ONCE - 1 {
                        self.wire.sync().await?;
                    }
                }
            }
        }
        self.wire.sync().await
    }

    async fn tidy(&mut self) {
        let full: Vec<u8> =
            self.spares.iter().filter(|spare| spare.sym != keys::NONE).map(|spare| spare.code).collect();
        if full.is_empty() {
            return;
        }
        full.into_iter().for_each(|code| self.put_on(code, keys::NONE));
        self.spares.iter_mut().for_each(|spare| spare.sym = keys::NONE);
        if let Err(error) = self.wire.sync().await {
            tracing::debug!(%error, "the spare keys were not emptied");
        }
    }
}

fn number(button: Button) -> u8 {
    match button {
        Button::Left => 1,
        Button::Middle => 2,
        Button::Right => 3,
    }
}

impl Keymap {
    async fn read(wire: &mut Wire, first: u8, last: u8) -> Result<Self, DeskError> {
        let count = last.saturating_sub(first).saturating_add(1);
        let reply = wire.ask(GetKeyboardMappingRequest { first_keycode: first, count }).await?;
        let per_key = usize::from(reply.keysyms_per_keycode).max(1);
        Ok(Self { first, per_key, syms: reply.keysyms })
    }
    fn last(&self) -> u8 {
        u8::try_from((usize::from(self.first) + self.syms.len() / self.per_key).saturating_sub(1)).unwrap_or(u8::MAX)
    }
    fn keys(&self) -> impl Iterator<Item = (u8, &[u32])> {
        (self.first..=u8::MAX).zip(self.syms.chunks_exact(self.per_key))
    }
    /// The key with this on its first layout, and whether it is on the level of shift.
    fn find(&self, sym: u32) -> Option<(u8, bool)> {
        let on = |level: usize| self.keys().find(|(_, syms)| syms.get(level) == Some(&sym)).map(|(code, _)| code);
        if sym == keys::NONE {
            return None;
        }
        on(0).map(|code| (code, false)).or_else(|| on(1).map(|code| (code, true)))
    }
    /// Keys with nothing on them, the highest first: programs seldom look at those.
    fn spares(&self) -> Vec<Spare> {
        let free = self.keys().filter(|(_, syms)| syms.iter().all(|sym| *sym == keys::NONE));
        let mut codes: Vec<u8> = free.map(|(code, _)| code).collect();
        codes.reverse();
        codes.into_iter().take(MOST_SPARES).map(|code| Spare { code, sym: keys::NONE, used: None }).collect()
    }
    /// Forgets what is on spare keys: that is not the keyboard's.
    fn without(&mut self, spares: &[Spare]) {
        for spare in spares {
            let at = usize::from(spare.code.saturating_sub(self.first)) * self.per_key;
            self.syms.iter_mut().skip(at).take(self.per_key).for_each(|sym| *sym = keys::NONE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_looked_for_on_keys_and_the_empty_ones_are_spare() {
        let syms = vec![0, 0, 0x61, 0x41, 0xffe1, 0, 0, 0];
        let mut keymap = Keymap { first: 8, per_key: 2, syms };
        assert_eq!(
            (keymap.find(0x61), keymap.find(0x41), keymap.find(0x62)),
            (Some((9, false)), Some((9, true)), None)
        );
        assert_eq!((keymap.find(keys::NONE), keymap.last()), (None, 11));
        let spares = keymap.spares();
        assert_eq!(spares.iter().map(|spare| spare.code).collect::<Vec<_>>(), [11, 8]);
        keymap.syms[6] = 0x0100_20ac;
        keymap.without(&spares);
        assert_eq!(keymap.find(0x0100_20ac), None);
    }
}
