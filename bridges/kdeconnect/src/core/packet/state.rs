//! What devices report of themselves: battery, signal, what is playing, volume.

use std::collections::BTreeMap;

use crate::core::json::{Private, object};

object! {
    /// How full the battery is.
    pub struct Battery {
        /// Percent, or -1 when unknown.
        current_charge: i64 = "currentCharge",
        /// Whether it is being charged.
        is_charging: bool = "isCharging",
        /// 1 when it just became low, else 0.
        threshold_event: Option<i64> = "thresholdEvent",
        /// How many batteries there are.
        battery_quantity: Option<i64> = "batteryQuantity",
    }
}
object! {
    /// Asks for the battery; old peers alone.
    pub struct BatteryRequest {
        /// Always true.
        request: bool = "request",
    }
}
object! {
    /// Mobile networks, by SIM.
    pub struct Connectivity {
        /// By SIM.
        signal_strengths: BTreeMap<String, Signal> = "signalStrengths",
    }
}
object! {
    /// One mobile network.
    pub struct Signal {
        /// `LTE`, `5G`, …
        network_type: Option<String> = "networkType",
        /// 0 to 4; -1 when unknown.
        signal_strength: i64 = "signalStrength",
    }
}
object! {
    /// Players, or the state of one.
    pub struct Mpris {
        /// Names of all players.
        player_list: Option<Vec<String>> = "playerList",
        /// With the list: covers can be asked for.
        support_album_art_payload: Option<bool> = "supportAlbumArtPayload",
        /// Whose state this is.
        player: Option<String> = "player",
        /// Title of what plays.
        title: Option<Private> = "title",
        /// By whom.
        artist: Option<Private> = "artist",
        /// From where.
        album: Option<Private> = "album",
        /// `artist - title`, for old clients.
        now_playing: Option<Private> = "nowPlaying",
        /// The cover; a `file:` address is fetched as payload.
        album_art_url: Option<Private> = "albumArtUrl",
        /// The cover comes with this packet.
        transferring_album_art: Option<bool> = "transferringAlbumArt",
        /// Whether it plays.
        is_playing: Option<bool> = "isPlaying",
        /// Position in milliseconds.
        pos: Option<i64> = "pos",
        /// Length in milliseconds.
        length: Option<i64> = "length",
        /// 0 to 100.
        volume: Option<i64> = "volume",
        /// Can be played.
        can_play: Option<bool> = "canPlay",
        /// Can be paused.
        can_pause: Option<bool> = "canPause",
        /// Has a next title.
        can_go_next: Option<bool> = "canGoNext",
        /// Has a previous title.
        can_go_previous: Option<bool> = "canGoPrevious",
        /// Can jump.
        can_seek: Option<bool> = "canSeek",
        /// `None`, `Track` or `Playlist`.
        loop_status: Option<String> = "loopStatus",
        /// Whether the order is random.
        shuffle: Option<bool> = "shuffle",
    }
}
object! {
    /// Asks for players or their state, or controls one.
    pub struct MprisRequest {
        /// Asks for the list.
        request_player_list: Option<bool> = "requestPlayerList",
        /// Which player.
        player: Option<String> = "player",
        /// Asks what plays.
        request_now_playing: Option<bool> = "requestNowPlaying",
        /// Asks how loud.
        request_volume: Option<bool> = "requestVolume",
        /// `Play`, `Pause`, `PlayPause`, `Stop`, `Next` or `Previous`.
        action: Option<String> = "action",
        /// Jumps to a position in milliseconds.
        set_position: Option<i64> = "SetPosition",
        /// Jumps by **microseconds**.
        seek: Option<i64> = "Seek",
        /// 0 to 100.
        set_volume: Option<i64> = "setVolume",
        /// `None`, `Track` or `Playlist`.
        set_loop_status: Option<String> = "setLoopStatus",
        /// Random order.
        set_shuffle: Option<bool> = "setShuffle",
        /// Asks for the cover of this address.
        album_art_url: Option<Private> = "albumArtUrl",
    }
}
object! {
    /// Our speakers, or the state of one.
    pub struct SystemVolume {
        /// All of them.
        sink_list: Option<Vec<Sink>> = "sinkList",
        /// Which one changed.
        name: Option<String> = "name",
        /// How loud, up to its own maximum.
        volume: Option<i64> = "volume",
        /// Silent.
        muted: Option<bool> = "muted",
        /// The one in use.
        enabled: Option<bool> = "enabled",
    }
}
object! {
    /// One speaker.
    pub struct Sink {
        /// Its key.
        name: String = "name",
        /// For people.
        description: String = "description",
        /// Silent.
        muted: bool = "muted",
        /// How loud, up to `max_volume`.
        volume: i64 = "volume",
        /// The loudest.
        max_volume: i64 = "maxVolume",
        /// The one in use.
        enabled: Option<bool> = "enabled",
    }
}
object! {
    /// Asks for speakers or controls one.
    pub struct SystemVolumeRequest {
        /// Asks for the list.
        request_sinks: Option<bool> = "requestSinks",
        /// Which speaker.
        name: Option<String> = "name",
        /// How loud.
        volume: Option<i64> = "volume",
        /// Silent.
        muted: Option<bool> = "muted",
        /// Makes it the one in use.
        enabled: Option<bool> = "enabled",
    }
}

impl MprisRequest {
    /// Whether it does more than ask.
    pub fn commands(&self) -> bool {
        self.action.is_some()
            || self.set_position.is_some()
            || self.seek.is_some()
            || self.set_volume.is_some()
            || self.set_loop_status.is_some()
            || self.set_shuffle.is_some()
    }
}
