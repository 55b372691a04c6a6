//! How data are shared: the type of the component, its name, and the method; pages use the labels of
//! these three for one another.

use super::{
    block::clean,
    labels::{is_cjk, simplified},
};
use crate::SharingType;

/// What a value of a sharing label says.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Says {
    Type,
    Method,
    Unclear,
}

const METHOD: &[&str] = &[
    "acquisition",
    "acquire",
    "transfer",
    "transmission",
    "transmit",
    "collect",
    "upload",
    "locally",
    "native",
    "backend",
    "采集",
    "获取",
    "传输",
    "收集",
    "上传",
    "erfassung",
    "übertragung",
    "übermittlung",
    "erhebung",
    "acquisition",
    "transfert",
    "collecte",
    "adquisición",
    "obtención",
    "transferencia",
    "recopilación",
    "получение",
    "передача",
    "сбор",
    "取得",
    "転送",
    "收集",
    "수집",
    "전송",
];

/// Whether a value names a type or a method.
pub(crate) fn says(value: &str) -> Says {
    let (outside, inside) = brackets(value);
    let lower = simplified(&outside.to_lowercase());
    let method = METHOD.iter().any(|word| lower.contains(word));
    if method && !starts_with_type_word(&lower) {
        return Says::Method;
    }
    match read_type(&lower) {
        Some(_) if method => Says::Method,
        Some(_) => Says::Type,
        None if method => Says::Method,
        None if inside.as_deref().is_some_and(|inside| exact_type(&inside.to_lowercase()).is_some()) => Says::Type,
        None => Says::Unclear,
    }
}

fn starts_with_type_word(lower: &str) -> bool {
    ["sdk", "app", "embed", "linked"].iter().any(|word| lower.starts_with(word))
}

/// Type and name of a value such as `Embed SDK (Tianqin SDK)`, `嵌入SDK（天琴SDK）`, `Tianqin SDK (embedded SDK)`,
/// `SDK: Tianqin SDK`.
pub(crate) fn type_and_name(value: &str) -> (Option<SharingType>, Option<String>) {
    let text = clean(value);
    let (outside, inside) = brackets(&text);
    let lower = simplified(&outside.to_lowercase());
    if let Some(kind) = exact_type(&lower) {
        return (Some(kind), inside.filter(|name| !name.is_empty()));
    }
    if let Some(inner) = &inside
        && let Some(kind) = exact_type(&inner.to_lowercase())
    {
        return (Some(kind), Some(outside).filter(|name| !name.is_empty()));
    }
    for joint in [": ", "：", " - ", " – ", " — ", ":", ", ", "，", "、", " / ", "/"] {
        if let Some((left, right)) = outside.split_once(joint) {
            let right = right.trim();
            if let Some(kind) = exact_type(&left.trim().to_lowercase()) {
                return (Some(kind), inside.or_else(|| Some(right.to_owned())).filter(|name| !name.is_empty()));
            }
            if let Some(kind) = exact_type(&right.to_lowercase()) {
                return (Some(kind), Some(left.trim().to_owned()).filter(|name| !name.is_empty()));
            }
        }
    }
    let kind = read_type(&lower);
    let named =
        kind.is_some() && inside.is_none() && (lower.ends_with("sdk") || lower.ends_with(" app")) && lower.len() > 4;
    let bare = ["an ", "a ", "the ", "via ", "through ", "by "].iter().any(|word| lower.starts_with(word));
    (kind, inside.or_else(|| (named && !bare).then_some(outside)).filter(|name| !name.is_empty()))
}

/// How many components a value names: `SDK (A), app (B)` names two.
pub(crate) fn components(value: &str) -> usize {
    let (items, _) = super::items::items(value);
    items.iter().filter(|item| exact_type(&item.item.to_lowercase()).is_some()).count()
}

/// The text outside of the first top-level brackets, and the text inside.
fn brackets(value: &str) -> (String, Option<String>) {
    let text = clean(value);
    let Some(open) = text.find(['(', '（', '[', '【', '〔', '「', '“', '"', '«']) else { return (text, None) };
    let mut depth = 0usize;
    for (at, c) in text[open..].char_indices() {
        let quote = at > 0 && matches!(c, '"' | '”' | '»' | '」');
        match c {
            '(' | '（' | '[' | '【' | '〔' => depth += 1,
            '「' | '“' | '«' => depth += 1,
            '"' if at == 0 => depth += 1,
            _ if matches!(c, ')' | '）' | ']' | '】' | '〕') || quote => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let start = open + text[open..].chars().next().map_or(0, char::len_utf8);
                    let outside = format!("{} {}", text[..open].trim(), text[open + at + c.len_utf8()..].trim());
                    return (outside.trim().to_owned(), Some(text[start..open + at].trim().to_owned()));
                }
            }
            _ => {}
        }
    }
    let start = open + text[open..].chars().next().map_or(0, char::len_utf8);
    (text[..open].trim().to_owned(), Some(text[start..].trim().to_owned()))
}

const TYPES: &[(SharingType, &str)] = &[
    (
        SharingType::EmbeddedSdk,
        "embed sdk|embedded sdk|embedding sdk|embedded|embed|built-in sdk|built in sdk|integrated sdk|in-app sdk|embedded third-party sdk|embedded third party sdk|嵌入sdk|嵌入式sdk|嵌入第三方sdk|内嵌sdk|内嵌第三方sdk|内置sdk|集成sdk|sdk嵌入|嵌入|内嵌|eingebettetes sdk|eingebettete sdk|integriertes sdk|sdk intégré|sdk integre|sdk embarqué|sdk incrusté|sdk integrado|sdk incrustado|sdk embebido|sdk incorporado|sdk incorporato|встроенный sdk|встраиваемый sdk|внедренный sdk|внедрённый sdk|интегрированный sdk|埋め込みsdk|組み込みsdk|임베디드 sdk|내장 sdk|wbudowany sdk|ingebouwde sdk|ingesloten sdk|gömülü sdk",
    ),
    (
        SharingType::Sdk,
        "sdk|an sdk|sdks|software development kit|software development kit (sdk)|third-party sdk|third party sdk|sdk integration|sdk access|library|software library|第三方sdk|sdk接入|sdk集成|sdk类|sdk方式|软件开发包|软件开发工具包|软件工具开发包|bibliothek|bibliothèque|biblioteca|библиотека|комплект sdk",
    ),
    (
        SharingType::LinkedApp,
        "linked app|link app|app link|linked application|linked third-party app|app via link|associated app|deep link|deep-linked app|redirected app|third-party link|链接应用|链接app|关联应用|关联app|跳转应用|跳转app|链接跳转|链接|跳转|外部链接|h5|h5链接|第三方链接|verknüpfte app|verlinkte app|verknuepfte app|verbundene app|application liée|application liee|appli liée|application associée|aplicación vinculada|aplicacion vinculada|app vinculada|aplicación enlazada|app enlazada|app collegata|связанное приложение|связанное прил.|приложение по ссылке|リンクアプリ|連携アプリ|연결된 앱|연동 앱|aplicativo vinculado|app vinculado|powiązana aplikacja|połączona aplikacja|gekoppelde app|gelinkte app|bağlantılı uygulama",
    ),
    (
        SharingType::App,
        "app|apps|an app|application|mobile app|mobile application|third-party app|third party app|client|client app|standalone app|应用|app应用|应用程序|第三方应用|第三方app|客户端|独立应用|手机应用|软件|anwendung|appli|l application|aplicación|aplicacion|app móvil|applicazione|aplicativo|приложение|прил.|アプリ|アプリケーション|앱|애플리케이션|aplikacja|uygulama|aplikasi|ứng dụng",
    ),
    (
        SharingType::Service,
        "service|services|cloud service|web service|online service|backend service|server|server side|cloud|api|api interface|interface|api service|服务|云服务|后台服务|服务端|接口|api接口|后端接口|在线服务|云端|dienst|clouddienst|cloud-dienst|webdienst|service cloud|service en ligne|servicio|servicio en la nube|servizio|serviço|сервис|служба|услуга|облачный сервис|облачная служба|サービス|クラウドサービス|서비스|usługa|hizmet|layanan|dịch vụ",
    ),
];

fn exact_type(lower: &str) -> Option<SharingType> {
    let text = lower.trim().trim_end_matches(['.', '。', ':', '：', ';']).replace(['-', '_'], " ");
    let text = text.strip_prefix("the ").unwrap_or(&text).trim();
    let squeezed: String =
        if text.chars().any(is_cjk) { text.chars().filter(|c| !c.is_whitespace()).collect() } else { text.to_owned() };
    static INDEX: std::sync::OnceLock<std::collections::HashMap<String, SharingType>> = std::sync::OnceLock::new();
    let index = INDEX.get_or_init(|| {
        TYPES
            .iter()
            .flat_map(|(kind, words)| words.split('|').map(move |word| (word.replace('-', " "), *kind)))
            .collect()
    });
    index.get(squeezed.as_str()).copied()
}

/// The type that a longer text certainly names.
fn read_type(lower: &str) -> Option<SharingType> {
    if lower.chars().count() > 80 {
        return None;
    }
    if let Some(kind) = exact_type(lower) {
        return Some(kind);
    }
    let word = |word: &str| {
        if word.chars().any(is_cjk) {
            lower.contains(word)
        } else {
            lower.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
        }
    };
    let any = |words: &[&str]| words.iter().any(|w| word(w));
    if any(&["sdk", "sdks", "软件开发包"])
        || lower.ends_with("sdk")
        || lower.contains("sdk") && lower.chars().any(is_cjk)
    {
        let embedded = lower.contains("embed")
            || lower.contains("嵌")
            || lower.contains("内置")
            || lower.contains("eingebett")
            || lower.contains("встро")
            || lower.contains("intégré")
            || lower.contains("integrado")
            || lower.contains("incrust");
        return Some(if embedded { SharingType::EmbeddedSdk } else { SharingType::Sdk });
    }
    if any(&["app", "application", "应用", "aplicación", "приложение", "anwendung"]) {
        let linked = lower.contains("link")
            || lower.contains("链接")
            || lower.contains("关联")
            || lower.contains("跳转")
            || lower.contains("verknüpf")
            || lower.contains("liée")
            || lower.contains("vinculad")
            || lower.contains("связан");
        return Some(if linked { SharingType::LinkedApp } else { SharingType::App });
    }
    if any(&["service", "api", "cloud", "服务", "接口", "dienst", "servicio", "сервис"]) {
        return Some(SharingType::Service);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_names_in_many_dresses() {
        for (text, kind, name) in [
            ("Embed SDK (Tianqin SDK)", Some(SharingType::EmbeddedSdk), Some("Tianqin SDK")),
            ("SDK (OneTrack SDK)", Some(SharingType::Sdk), Some("OneTrack SDK")),
            ("app (Xiaomi Home)", Some(SharingType::App), Some("Xiaomi Home")),
            ("linked app (search services)", Some(SharingType::LinkedApp), Some("search services")),
            ("嵌入 SDK（天琴SDK）", Some(SharingType::EmbeddedSdk), Some("天琴SDK")),
            ("Tianqin SDK (embedded SDK)", Some(SharingType::EmbeddedSdk), Some("Tianqin SDK")),
            ("SDK: Lebo SDK", Some(SharingType::Sdk), Some("Lebo SDK")),
            ("SDK", Some(SharingType::Sdk), None),
            ("App【米家】", Some(SharingType::App), Some("米家")),
            ("carrier pigeon (Bob)", None, Some("Bob")),
            ("embedded-sdk", Some(SharingType::EmbeddedSdk), None),
            ("Linked_App (Search (beta))", Some(SharingType::LinkedApp), Some("Search (beta)")),
        ] {
            assert_eq!(type_and_name(text), (kind, name.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn two_components_under_one_type_are_counted() {
        assert_eq!(components("SDK (A SDK), app (B)"), 2);
        assert_eq!(components("SDK (A SDK, B SDK)"), 1);
    }

    #[test]
    fn a_method_is_told_from_a_type() {
        for text in [
            "SDK local acquisition",
            "SDK native transfer",
            "app local acquisition and transfer",
            "Backend API transfer",
            "SDK本机采集",
            "后台接口传输",
            "API native transfer",
        ] {
            assert_eq!(says(text), Says::Method, "{text}");
        }
        for text in ["SDK (Lebo SDK)", "app", "嵌入SDK（天琴SDK）", "linked app (search services)", "Embedded SDK"]
        {
            assert_eq!(says(text), Says::Type, "{text}");
        }
    }
}
