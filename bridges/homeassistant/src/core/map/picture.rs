//! What can be looked at: `camera` and `image`. Their pictures do not come with their states; each state says where there is one,
//! in an address that holds a token of its own for some minutes. developers.home-assistant.io/docs/core/entity/camera

use accord_model::catalogue;

use super::Entity;
use super::part::Part;
use crate::core::attr::MAX_TEXT;
use crate::core::words::Call;

const ON_OFF: u32 = 1;

pub(super) fn picture(entity: &Entity<'_>) -> Part {
    let is_camera = entity.domain() == "camera";
    let kept: &[&str] = if is_camera { &["recording", "streaming"] } else { &[] };
    let actions: &[&str] = if is_camera && entity.can(ON_OFF) { &["turn-on", "turn-off"] } else { &[] };
    let is = |state: &str| entity.known().map(|now| now == state);
    Part::new(catalogue::picture().only(kept, actions))
        .say("recording", is("recording"))
        .say("streaming", is("streaming"))
}

pub(super) fn act(entity: &Entity<'_>, action: &str) -> Option<Call> {
    match action {
        "turn-on" => Some(entity.call("camera", "turn_on")),
        "turn-off" => Some(entity.call("camera", "turn_off")),
        _ => None,
    }
}

/// Where its server gives the picture. `None`: there is none now, or it is elsewhere than where Home Assistant has pictures.
pub fn path<'a>(entity: &Entity<'a>) -> Option<&'a str> {
    let proxy = match entity.domain() {
        "camera" => "/api/camera_proxy/",
        "image" => "/api/image_proxy/",
        _ => return None,
    };
    let rest = entity.attrs.text("entity_picture").filter(|path| path.starts_with(proxy))?;
    // What is as long as what is kept may be cut.
    let plain = rest.len() < MAX_TEXT && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let (object, _) = rest[proxy.len()..].split_once('?')?;
    (plain && object == entity.id).then_some(rest)
}
