//! The battery as UPower shows it (org.freedesktop.UPower, its `DisplayDevice`), which tells of changes by itself.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream, OwnedVariant};

use crate::battery::Charge;

const UPOWER: &str = "org.freedesktop.UPower";
const DEVICE: &str = "org.freedesktop.UPower.Device";
const PATH: &str = "/org/freedesktop/UPower/devices/DisplayDevice";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const WITHIN: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_millis(500);
const QUEUE: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");

/// Tells `now` of the battery until the bus is gone. `None`: this computer has none.
///
/// An error at once says that nobody speaks for batteries there.
pub async fn follow(bus: &Connection, now: &watch::Sender<Option<Charge>>) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(UPOWER)
        .interface(PROPERTIES)
        .member("PropertiesChanged")
        .path(PATH)
        .build()?;
    let mut signals = MessageStream::for_match_rule(rule, bus, Some(QUEUE)).await?;
    now.send_replace(read(bus).await?);
    while let Some(signal) = signals.next().await {
        signal?;
        // One change comes in several signals; the queue must not fill meanwhile.
        let pause = tokio::time::sleep(SETTLE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                more = signals.next() => if more.is_none() { return Ok(()) },
            }
        }
        let charge = read(bus).await?;
        now.send_if_modified(|before| std::mem::replace(before, charge) != charge);
    }
    Ok(())
}

async fn read(bus: &Connection) -> zbus::Result<Option<Charge>> {
    let to = BusName::try_from(UPOWER)?;
    let asked = bus.call_method(Some(to), PATH, Some(PROPERTIES), "GetAll", &(DEVICE,));
    let answer = tokio::time::timeout(WITHIN, asked).await.map_err(|_| {
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "UPower does not answer");
        zbus::Error::InputOutput(late.into())
    })??;
    Ok(charge(&answer.body().deserialize()?))
}

fn charge(said: &HashMap<String, OwnedVariant>) -> Option<Charge> {
    let number = |name: &str| said.get(name).and_then(|value| u32::try_from(value).ok());
    let present = said.get("IsPresent").and_then(|value| bool::try_from(value).ok()).unwrap_or(false);
    let percent =
        said.get("Percentage").and_then(|value| f64::try_from(value).ok()).filter(|percent| percent.is_finite())?;
    // Type 2 is a battery, 3 an uninterruptible supply; a desktop's display device is neither.
    if !present || !matches!(number("Type"), Some(2 | 3)) {
        return None;
    }
    // State 1 charging, 4 fully charged, 5 waiting to be charged: on the mains.
    let charging = matches!(number("State"), Some(1 | 4 | 5));
    let mut charge = Charge::new(percent, charging);
    // WarningLevel 3 low, 4 critical, 5 about to act.
    charge.low |= !charging && matches!(number("WarningLevel"), Some(3..=5));
    Some(charge)
}

#[cfg(test)]
mod tests {
    use zbus::Variant;

    use super::*;

    fn said(pairs: Vec<(&str, Variant<'static>)>) -> HashMap<String, OwnedVariant> {
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.try_into_owned().unwrap())).collect()
    }

    #[test]
    fn a_battery_is_told_from_a_computer_without_one() {
        let of = |kind, state| {
            charge(&said(vec![
                ("IsPresent", Variant::Bool(true)),
                ("Type", Variant::U32(kind)),
                ("Percentage", Variant::F64(41.6)),
                ("State", Variant::U32(state)),
            ]))
        };
        assert_eq!(of(2, 2), Some(Charge { percent: 42, charging: false, low: false }));
        assert_eq!(of(2, 1), Some(Charge { percent: 42, charging: true, low: false }));
        assert_eq!(of(0, 0), None);
        assert_eq!(charge(&said(vec![("Percentage", Variant::F64(0.0)), ("Type", Variant::U32(2))])), None);
    }
}
