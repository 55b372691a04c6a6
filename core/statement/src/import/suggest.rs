//! Which field code an item certainly stands for. A suggestion for the person who maps a page; never
//! used by itself.

use accord_model::FieldCode;

use super::DataItem;

const KNOWN: &[(FieldCode, &str)] = &[
    (FieldCode::DeviceIdResettable, "oaid|device id oaid|设备id oaid|idfa|gaid|advertising id|android advertising id"),
    (FieldCode::DeviceIdBusiness, "business defined device id"),
    (
        FieldCode::DeviceId,
        "device id|device ids|device identifier|设备id|设备标识|设备标识符|geräte id|identifiant de l appareil|id del dispositivo|идентификатор устройства",
    ),
    (FieldCode::DeviceFid, "device fid|unique device fid|fid|设备fid"),
    (
        FieldCode::DeviceName,
        "device name|device names|设备名称|设备名|gerätename|nom de l appareil|nombre del dispositivo|имя устройства|название устройства",
    ),
    (FieldCode::DeviceType, "device type|设备类型|gerätetyp|type d appareil|tipo de dispositivo|тип устройства"),
    (
        FieldCode::DeviceModel,
        "device model|设备型号|手机型号|gerätemodell|modèle de l appareil|modelo del dispositivo|модель устройства",
    ),
    (
        FieldCode::OsVersion,
        "os version|operating system version|operating system|device os|操作系统版本|系统版本|操作系统",
    ),
    (FieldCode::NetIp, "ip address|ip addresses|ip地址|ip adresse|adresse ip|dirección ip|ip адрес"),
    (FieldCode::NetP2p, "p2p address|p2p地址|p2p adresse|adresse p2p|dirección p2p|p2p адрес"),
    (
        FieldCode::NetBt,
        "bluetooth address|bluetooth mac address|蓝牙地址|bluetooth adresse|adresse bluetooth|dirección bluetooth|bluetooth адрес",
    ),
    (
        FieldCode::NetMac,
        "device mac address|mac address|mac addresses|mac地址|设备mac地址|mac adresse|adresse mac|dirección mac|mac адрес",
    ),
    (FieldCode::FileName, "file name|file names|文件名|文件名称"),
    (FieldCode::FileContent, "file content|file contents|文件内容"),
    (FieldCode::UsagePageView, "page views|page view|页面浏览"),
    (FieldCode::CrashEvent, "app crash events|crash events|应用崩溃事件|崩溃事件"),
    (FieldCode::AppId, "app id|application id|应用id"),
    (FieldCode::AppVersion, "app package version|app version|应用版本|应用版本号"),
    (FieldCode::AppChannel, "channel number|渠道号"),
    (FieldCode::TvName, "tv name|电视名称"),
    (FieldCode::TvType, "tv type|电视类型"),
    (
        FieldCode::HomeDeviceId,
        "ids of xiaomi home devices|米家设备的id|id of smart home devices|ids of smart home devices",
    ),
    (FieldCode::HomeDeviceIcon, "icons of xiaomi home devices|米家设备的图标|icons of smart home devices"),
    (FieldCode::HomeDeviceName, "names of xiaomi home devices|米家设备的名称|names of smart home devices"),
    (
        FieldCode::HomeDeviceMac,
        "mac addresses of xiaomi home devices|米家设备的mac地址|mac addresses of smart home devices",
    ),
    (FieldCode::WearableId, "device id of wearable devices"),
    (FieldCode::WearableScreen, "screen shape of wearable devices|screen dimensions of wearable devices"),
    (FieldCode::WearableName, "name of wearable devices"),
    (FieldCode::WearableBattery, "battery level of wearable devices"),
    (FieldCode::CarId, "car device id|车机设备id"),
    (FieldCode::CarMac, "car mac address|车机mac地址"),
    (FieldCode::MediaPhoto, "photos|photo|照片|fotos|photographies|fotografías|фотографии"),
    (FieldCode::NotificationContent, "notifications|通知|benachrichtigungen|notificaciones|уведомления"),
    (FieldCode::AccountId, "xiaomi account id|account id|小米账号id|账号id"),
    (FieldCode::ServiceIdDerived, "service id|服务id"),
    (
        FieldCode::SearchTerm,
        "search keywords|search terms|search keyword|搜索关键词|搜索词|suchbegriffe|mots clés de recherche|palabras clave de búsqueda|поисковые запросы",
    ),
    (FieldCode::BatteryLevel, "battery level|电量"),
    (FieldCode::ClipboardContent, "clipboard content|clipboard|剪贴板内容"),
    (FieldCode::Location, "location|precise location|位置|位置信息"),
];

pub(crate) fn code(item: &DataItem) -> Option<FieldCode> {
    let name = super::labels::normal(&item.item);
    let detail = item.detail.as_deref().map(super::labels::normal).unwrap_or_default();
    let both = format!("{name} {detail}");
    static INDEX: std::sync::OnceLock<std::collections::HashMap<&str, FieldCode>> = std::sync::OnceLock::new();
    let index = INDEX.get_or_init(|| {
        KNOWN.iter().flat_map(|(code, words)| words.split('|').map(move |word| (word, *code))).collect()
    });
    let find = |text: &str| index.get(text).copied();
    find(&both).or_else(|| find(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_certain_is_suggested() {
        let item = |item: &str, detail: Option<&str>| DataItem { item: item.into(), detail: detail.map(Into::into) };
        assert_eq!(code(&item("device ID", Some("OAID"))), Some(FieldCode::DeviceIdResettable));
        assert_eq!(code(&item("Device ID", None)), Some(FieldCode::DeviceId));
        assert_eq!(code(&item("your mood", None)), None);
    }
}
