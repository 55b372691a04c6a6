//! The closed list of what kinds of data can be shared, after the seed statement's own list, with the
//! nearest term of the W3C Data Privacy Vocabulary 2.3 (`pd:`) and of fideslang 3.1 for exports.
//! Append only: the position of a code is its bit in a [`FieldSet`] and is never reused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a field says of a person, for grouping in UIs and for the linter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// Tells one device or person from all others.
    Identifier,
    /// Where it is on a network.
    Network,
    /// What it is.
    Description,
    /// What a person made, wrote or received.
    Content,
    /// What a person or device does.
    Behaviour,
    /// Who the owner is.
    Account,
}

macro_rules! fields {
    ($($name:ident = $code:literal, $kind:ident, $sensitive:literal, $label:literal, $dpv:literal, $fides:literal;)*) => {
        /// One kind of data.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum FieldCode {
            $(#[doc = $label] $name,)*
        }
        impl FieldCode {
            /// Every code, in bit order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The dotted code, as statements write it.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
            /// A short English label.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }
            /// What it says of a person.
            pub const fn kind(self) -> FieldKind {
                match self { $(Self::$name => FieldKind::$kind),* }
            }
            /// Content and whereabouts: asked at the moment of use, never pre-granted.
            pub const fn is_sensitive(self) -> bool {
                match self { $(Self::$name => $sensitive),* }
            }
            /// Nearest term of DPV 2.3's personal-data extension.
            pub const fn dpv(self) -> &'static str {
                match self { $(Self::$name => $dpv),* }
            }
            /// Nearest key of fideslang 3.1.
            pub const fn fides(self) -> &'static str {
                match self { $(Self::$name => $fides),* }
            }
        }
    };
}

fields! {
    DeviceId = "device.id", Identifier, false, "device ID", "pd:Identifier", "user.device.device_id";
    DeviceIdResettable = "device.id.resettable", Identifier, false, "resettable device ID", "pd:Identifier", "user.unique_id.pseudonymous";
    DeviceIdBusiness = "device.id.business", Identifier, false, "business-defined device ID", "pd:Identifier", "user.device.device_id";
    DeviceFid = "device.fid", Identifier, false, "unique device FID", "pd:Identifier", "user.device.device_id";
    DeviceName = "device.name", Description, false, "device name", "pd:DeviceBased", "user.device";
    DeviceType = "device.type", Description, false, "device type", "pd:DeviceBased", "user.device";
    DeviceModel = "device.model", Description, false, "device model", "pd:DeviceBased", "user.device";
    DeviceAbilities = "device.abilities", Description, false, "what the device can do", "pd:DeviceBased", "user.device";
    OsVersion = "os.version", Description, false, "operating system and version", "pd:DeviceOperatingSystem", "user.device";
    NetIp = "net.ip", Network, false, "IP address", "pd:IPAddress", "user.device.ip_address";
    NetP2p = "net.p2p", Network, false, "P2P address", "pd:DeviceBased", "user.device";
    NetBt = "net.bt", Network, false, "Bluetooth address", "pd:MACAddress", "user.device";
    NetMac = "net.mac", Network, false, "MAC address", "pd:MACAddress", "user.device";
    KeyPublic = "key.public", Identifier, false, "public keys", "pd:Identifier", "user.device.device_id";
    LedgerHead = "ledger.head", Behaviour, false, "head of the ledger (size and hash)", "pd:Identifier", "user.telemetry";
    FileName = "file.name", Content, true, "file names", "pd:PersonalDocuments", "user.content.private";
    FileContent = "file.content", Content, true, "file content", "pd:PersonalDocuments", "user.content.private";
    FileMeta = "file.meta", Content, false, "file sizes, times and permissions", "pd:PersonalDocuments", "user.content.private";
    TransferState = "transfer.state", Behaviour, false, "state of a transfer", "pd:ServiceConsumptionBehaviour", "user.behavior";
    TextContent = "text.content", Content, true, "text", "pd:Communication", "user.content.private";
    ClipboardContent = "clipboard.content", Content, true, "clipboard content", "pd:Communication", "user.content.private";
    NotificationContent = "notification.content", Content, true, "notifications", "pd:Communication", "user.content.private";
    NotificationApp = "notification.app", Behaviour, false, "apps that notify", "pd:DeviceApplications", "user.behavior";
    MediaPhoto = "media.photo", Content, true, "photos", "pd:Picture", "user.content.private";
    MediaUserCreated = "media.user_created", Content, true, "multimedia data generated by users", "pd:Picture", "user.content.private";
    MediaNowPlaying = "media.now_playing", Behaviour, false, "what is playing", "pd:ServiceConsumptionBehaviour", "user.behavior";
    UsagePageView = "usage.page_view", Behaviour, false, "page views", "pd:ServiceConsumptionBehaviour", "user.behavior";
    CrashEvent = "crash.event", Behaviour, false, "app crash events", "pd:DeviceApplications", "user.telemetry";
    AppId = "app.id", Description, false, "app ID", "pd:DeviceApplications", "user.device";
    AppVersion = "app.version", Description, false, "app package version", "pd:DeviceApplications", "user.device";
    AppChannel = "app.channel", Description, false, "channel number", "pd:DeviceApplications", "user.device";
    ConsentUep = "consent.uep", Behaviour, false, "enrolment in the User Experience Program", "pd:PrivacyPreference", "user.privacy_preferences";
    ConsentPolicy = "consent.policy", Behaviour, false, "agreement to the privacy policy", "pd:PrivacyPreference", "user.privacy_preferences";
    TvName = "tv.name", Description, false, "TV name", "pd:DeviceBased", "user.device";
    TvType = "tv.type", Description, false, "TV type", "pd:DeviceBased", "user.device";
    HomeDeviceId = "home.device.id", Identifier, false, "smart-home device IDs", "pd:Identifier", "user.device.device_id";
    HomeDeviceIcon = "home.device.icon", Description, false, "smart-home device icons", "pd:DeviceBased", "user.device";
    HomeDeviceName = "home.device.name", Description, false, "smart-home device names", "pd:DeviceBased", "user.device";
    HomeDeviceMac = "home.device.mac", Network, false, "smart-home device MAC addresses", "pd:MACAddress", "user.device";
    HomeDeviceState = "home.device.state", Behaviour, true, "smart-home device states", "pd:DeviceBased", "user.device";
    WearableId = "wearable.id", Identifier, false, "wearable device ID", "pd:Identifier", "user.device.device_id";
    WearableScreen = "wearable.screen", Description, false, "screen shape and dimensions of wearables", "pd:DeviceBased", "user.device";
    WearableName = "wearable.name", Description, false, "wearable name", "pd:DeviceBased", "user.device";
    WearableBattery = "wearable.battery", Behaviour, false, "wearable battery level", "pd:DeviceBased", "user.device";
    CarId = "car.id", Identifier, false, "car device ID", "pd:Vehicle", "user.device.device_id";
    CarMac = "car.mac", Network, false, "car MAC address", "pd:MACAddress", "user.device";
    CarState = "car.state", Behaviour, true, "car state", "pd:Vehicle", "user.device";
    AccountId = "account.id", Account, true, "account ID", "pd:Username", "user.account";
    AccountSame = "account.same", Account, false, "whether the peer has the same account", "pd:Identifier", "user.account";
    ServiceIdDerived = "service.id.derived", Identifier, false, "derived service ID", "pd:Identifier", "user.unique_id.pseudonymous";
    SearchTerm = "search.term", Content, true, "search keywords", "pd:ServiceConsumptionBehaviour", "user.behavior.search_history";
    BatteryLevel = "battery.level", Behaviour, false, "battery level", "pd:DeviceBased", "user.device";
    Presence = "presence", Behaviour, true, "presence", "pd:Location", "user.behavior";
    ScreenContent = "screen.content", Content, true, "what is on the screen", "pd:PersonalDocuments", "user.content.private";
    CommandName = "command.name", Behaviour, false, "names of commands", "pd:ServiceConsumptionBehaviour", "user.behavior";
    Location = "location", Behaviour, true, "location", "pd:Location", "user.location";
}

impl fmt::Display for FieldCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
impl fmt::Debug for FieldCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
impl std::str::FromStr for FieldCode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|field| field.code() == text)
            .ok_or_else(|| format!("`{}` is no field code", crate::text::for_screen(text, 60)))
    }
}
impl Serialize for FieldCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
impl<'de> Deserialize<'de> for FieldCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of field codes; a bit mask, so that the gate's check is one AND.
///
/// ```
/// use accord_model::{FieldCode, FieldSet};
/// let asked = FieldSet::from_iter([FieldCode::FileName]);
/// let allowed = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileContent]);
/// assert!(asked.is_subset(allowed) && !allowed.is_subset(asked));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FieldSet(u128);

impl FieldSet {
    /// No field.
    pub const EMPTY: Self = Self(0);
    /// Exactly one field.
    pub const fn one(field: FieldCode) -> Self {
        Self(1 << field as u8)
    }
    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// What is here and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// True when every field is also in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
    /// True when `field` is in the set.
    pub const fn contains(self, field: FieldCode) -> bool {
        self.0 & (1 << field as u8) != 0
    }
    /// True when there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The fields, in bit order.
    pub fn iter(self) -> impl Iterator<Item = FieldCode> {
        FieldCode::ALL.iter().copied().filter(move |field| self.contains(*field))
    }
}

impl FromIterator<FieldCode> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldCode>>(fields: I) -> Self {
        fields.into_iter().fold(Self::EMPTY, |set, field| set.union(Self::one(field)))
    }
}
impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
impl Serialize for FieldSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
impl<'de> Deserialize<'de> for FieldSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<FieldCode>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_fits_the_mask_and_reads_back() {
        assert!(FieldCode::ALL.len() <= 128);
        for field in FieldCode::ALL {
            assert_eq!(field.code().parse::<FieldCode>().unwrap(), *field);
        }
        let all: FieldSet = FieldCode::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), FieldCode::ALL.len());
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<FieldSet>(&json).unwrap(), all);
    }
}
