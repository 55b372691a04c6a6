//! What a page calls its columns: a dictionary of labels in several languages, and a cautious guess by
//! key words for labels that nobody has seen yet.

use unicode_normalization::UnicodeNormalization;

use super::block::clean;

/// What a label stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Label {
    Title,
    ThirdParty,
    Type,
    Method,
    /// Used for the type and for the method alike; the value tells which.
    Share,
    Name,
    Data,
    Purpose,
    Scenario,
    /// One label for both.
    PurposeScenario,
    Rules,
    /// The official site: stands in for the rules where none are linked.
    Site,
    Version,
    Date,
    DocTitle,
    /// Known, but the form has no place for it.
    Other,
}

/// A label's text in the form of the dictionary: compatibility forms folded, lower case, plain spaces.
pub(crate) fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before_cjk = false;
    let mut space = false;
    let clean = clean(text);
    let plain = clean.is_ascii();
    let folded: Box<dyn Iterator<Item = char>> = if plain { Box::new(clean.chars()) } else { Box::new(clean.nfkc()) };
    for c in folded.flat_map(char::to_lowercase) {
        let c = match c {
            '_' | '-' | '\u{2010}'..='\u{2015}' | '’' | '\'' => ' ',
            '*' | '`' | '"' | '“' | '”' | '?' | ':' | '：' | '【' | '】' | '[' | ']' => continue,
            c => c,
        };
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        let cjk = is_cjk(c);
        if space && !(cjk || before_cjk) {
            out.push(' ');
        }
        space = false;
        before_cjk = cjk;
        out.push(c);
    }
    let out = simplified(&out.replace("3rd ", "third "));
    let trimmed = out.trim_matches(|c: char| c.is_ascii_punctuation() && c != '(' && c != ')').trim();
    trimmed.strip_suffix("(s)").unwrap_or(trimmed).to_owned()
}

/// Traditional characters and words of the labels and types, as the dictionaries have them.
pub(crate) fn simplified(text: &str) -> String {
    const FROM: &str =
        "稱類資訊數據場處規則隱個連結應種鏈權圍內裝務目標機關聯獲傳輸採術欄實現時間發佈效說聲單開軟體嵌雲後臺";
    const TO: &str =
        "称类资讯数据场处规则隐个连结应种链权围内装务目标机关联获传输采术栏实现时间发布效说声单开软体嵌云后台";
    if !text.chars().any(is_cjk) {
        return text.to_owned();
    }
    let single: String = text
        .chars()
        .map(|c| FROM.chars().zip(TO.chars()).find(|(from, _)| *from == c).map_or(c, |(_, to)| to))
        .collect();
    let words = [("资讯", "信息"), ("资料", "数据"), ("连结", "链接"), ("程式", "程序"), ("软体", "软件")];
    words.iter().fold(single, |text, (from, to)| text.replace(from, to))
}

pub(crate) fn is_cjk(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{303F}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{AC00}'..='\u{D7A3}')
}

const DICTIONARY: &[(Label, &str)] = &[
    (
        Label::Title,
        "title|entry|section|feature|function|feature name|function name|business function|product feature|module|item|功能|业务功能|功能名称|功能模块|对应功能|实现功能|业务场景名称|标题|条目|funktion|fonction|fonctionnalité|fonctionnalite|función|funcion|funcionalidad|функция|название функции|titel|titre|título|titulo|заголовок|service title|entry title",
    ),
    (
        Label::ThirdParty,
        "third party name|third party|name of third party|name of the third party|third party company|third party entity|third party company name|third party provider|third party recipient|third parties|third party operator|operator|provider|service provider|company|company name|recipient|data recipient|recipient name|vendor|partner|supplier|shared with|who receives it|who receives the data|recipient of data|receiver|data receiver|name of company|legal entity|sdk provider|sdk vendor|sdk operator|provider name|operator name|third party service provider|partner name|partner company|第三方名称|第三方主体|第三方主体名称|第三方公司名称|第三方公司|第三方机构名称|第三方机构|第三方|公司名称|所属公司|所属公司名称|所属机构|所属公司主体|运营方|运营主体|运营商名称|提供方|提供方名称|提供主体|服务提供方|服务提供商|接收方|接收方名称|信息接收方|数据接收方|合作方|合作方名称|合作方主体|合作方公司名称|sdk提供方|sdk运营方|sdk厂商|开发者|开发者名称|厂商|主体名称|第三方名|第三方sdk提供方|第三方sdk提供方的公司名称|第三方sdk运营方|name des dritten|name des drittanbieters|drittanbieter|dritter|dritte|empfänger|empfaenger|anbieter|unternehmen|firma|firmenname|name des unternehmens|nom du tiers|tiers|nom de la société|nom de l entreprise|société|entreprise|destinataire|fournisseur|nombre del tercero|tercero|nombre de la empresa|empresa|destinatario|proveedor|nombre del proveedor|nome da terceira parte|terceiro|nome del terzo|terza parte|наименование третьей стороны|название третьей стороны|имя третьей стороны|третья сторона|третье лицо|наименование третьего лица|компания|название компании|получатель|поставщик|第三者名|第三者の名称|提供先|会社名|제3자 이름|제3자명|제공받는 자|회사명|nome della terza parte|nome do terceiro|nome de terceiros|nazwa podmiotu trzeciego|nazwa strony trzeciej|podmiot trzeci|naam van derde partij|naam derde partij|derde partij|üçüncü taraf adı|nama pihak ketiga|tên bên thứ ba|サードパーティ名",
    ),
    (
        Label::Type,
        "sharing type|type of sharing|share type|shared via|shared through|integration type|type of integration|access type|integration|integration method|integration form|service type|sdk type|type|means of sharing|means|component type|product type|form of cooperation|cooperation type|接入方式|接入类型|共享类型|共享形式|合作类型|合作形式|合作方式|服务类型|类型|形式|产品/类型|产品类型|嵌入方式|集成方式|art der weitergabe|art der freigabe|freigabetyp|weitergabeart|type de partage|tipo de uso compartido|tipo de intercambio|tipo de compartición|tipo de comparticion|tipo de uso|tipo di condivisione|tipo de compartilhamento|тип передачи|тип обмена|тип совместного использования|способ интеграции|共有タイプ|共有の種類|공유 유형|form of sharing|sharing form|way of integration|typ udostępniania|rodzaj udostępniania|type delen|soort delen|paylaşım türü|jenis berbagi|loại chia sẻ|공유 방식 유형",
    ),
    (
        Label::Method,
        "sharing method|method of sharing|share method|method|how|how it is shared|how shared|transfer method|processing method|collection method|transmission method|method of transfer|method of collection|way of sharing|sharing mode|共享方式|共享方法|分享方式|收集方式|处理方式|传输方式|获取方式|提供方式|采集方式|信息获取方式|信息收集方式|art der übermittlung|art der uebermittlung|methode der weitergabe|freigabemethode|weitergabemethode|übermittlungsmethode|methode|méthode de partage|methode de partage|mode de partage|méthode|método de uso compartido|método de intercambio|metodo de intercambio|método de compartición|método de transferencia|método|metodo di condivisione|método de compartilhamento|способ передачи|метод передачи|способ обмена|метод обмена|способ|метод|способ совместного использования|共有方法|공유 방법|공유 방식|how it is transferred|how data is shared|way data is shared|metoda udostępniania|sposób udostępniania|methode voor delen|deelmethode|paylaşım yöntemi|metode berbagi|phương thức chia sẻ",
    ),
    (
        Label::Name,
        "name|sdk name|name of sdk|name of the sdk|app name|application name|product|product name|component|component name|third party sdk name|third party sdk|service name|sdk|sdk/app name|sdk名称|sdk名|使用sdk名称|第三方sdk名称|第三方sdk|名称|应用名称|产品名称|服务名称|组件名称|产品/服务名称|sdk包名|接入产品|sdk name und version|name des sdk|sdk bezeichnung|nom du sdk|nombre del sdk|название sdk|наименование sdk|имя sdk|название|имя|nombre|nom|sdk名前|sdk 이름",
    ),
    (
        Label::Data,
        "shared data|shared information|data shared|information shared|shared personal data|shared personal information|personal data shared|personal information shared|data|information|data collected|collected data|personal data|personal information|data items|data item|data type|data types|types of data|type of data|data types shared|types of data shared|type of data shared|categories of data|category of data|data categories|what is shared|what data is shared|what we share|information collected|collected information|personal information collected|personal data collected|personal information type|type of personal information|types of personal information|fields|data fields|shared fields|data transferred|data processed|personal type|shared content|shared data types|scope of data|共享信息|共享的信息|共享数据|共享的数据|共享个人信息|共享的个人信息|共享信息名称|共享信息类型|共享的个人信息类型|共享个人信息类型|收集个人信息|收集的个人信息|收集个人信息类型|收集的个人信息类型|个人信息类型|个人信息字段|个人信息种类|个人信息收集范围|涉及个人信息|涉及的个人信息|涉及的个人信息类型|涉及的个人信息种类|涉及个人信息类型|处理的个人信息类型|处理的个人信息|数据类型|信息类型|信息种类|数据项|数据|信息|共享内容|收集信息|收集的信息|收集数据|收集信息类型|共享字段|获取的个人信息|获取个人信息|需获取的个人信息|weitergegebene daten|geteilte daten|gemeinsam genutzte daten|freigegebene daten|übermittelte daten|weitergegebene informationen|daten|données partagées|donnees partagees|informations partagées|données|datos compartidos|información compartida|informacion compartida|datos|dati condivisi|dados compartilhados|передаваемые данные|общие данные|передаваемая информация|данные|совместно используемые данные|предоставляемые данные|共有データ|共有される情報|提供情報|공유 데이터|공유 정보|data we share|information we share|what data we share|data that we share|information that we share|personal data we share|dati e informazioni condivisi|informazioni condivise|informações compartilhadas|dados partilhados|udostępniane dane|udostępniane informacje|gedeelde gegevens|gedeelde informatie|paylaşılan veriler|data yang dibagikan|dữ liệu được chia sẻ",
    ),
    (
        Label::Purpose,
        "purpose|purposes|purpose of use|purposes of use|use purpose|usage purpose|purpose of sharing|purpose of processing|processing purpose|purpose of data sharing|purpose of collection|why|why it is shared|why we share it|used for|reason|use|使用目的|目的|用途|收集目的|共享目的|处理目的|使用用途|用途和目的|用途及目的|sdk用途|使用目的/用途|收集使用目的|目的和用途|功能描述|zweck|verwendungszweck|nutzungszweck|zweck der nutzung|zweck der verwendung|but|but de l utilisation|but d utilisation|finalité|finalite|finalité d utilisation|finalités|objectif|objet|propósito|proposito|finalidad|propósito de uso|propósito del uso|finalidad de uso|finalidad del uso|scopo|scopo di utilizzo|finalidade|цель|цели|цель использования|цель передачи|цели использования|цель обработки|利用目的|使用目的|사용 목적|이용 목적|why we share|why we use it|scopo dell uso|scopo dell utilizzo|finalità|finalità di utilizzo|finalidade de uso|finalidade do uso|finalidade de utilização|cel użycia|cel wykorzystania|cel|doel van gebruik|gebruiksdoel|doel|kullanım amacı|tujuan penggunaan|mục đích sử dụng",
    ),
    (
        Label::Scenario,
        "usage scenario|usage scenarios|scenario|scenarios|use scenario|use scenarios|use case|use cases|when|when it is shared|when shared|scene|scenes|usage scene|scenario of use|applicable scenario|trigger|occasion|使用场景|使用情景|场景|场景描述|业务场景|应用场景|共享场景|触发场景|功能场景|使用时机|使用场景描述|nutzungsszenario|verwendungsszenario|szenario|anwendungsfall|nutzungsfall|scénario d utilisation|scenario d utilisation|cas d utilisation|scénario|contexte d utilisation|escenario de uso|escenario|caso de uso|situación de uso|scenario di utilizzo|cenário de uso|сценарий использования|сценарий|сценарии использования|случай использования|利用シーン|使用シーン|利用場面|사용 시나리오|이용 시나리오|사용 상황|where it is used|when it is used|when it happens|when we share it|application scenario|application scenarios|context of use|scenario d uso|cenário de utilização|scenariusz użycia|scenariusz wykorzystania|gebruiksscenario|kullanım senaryosu|skenario penggunaan|tình huống sử dụng|使用シナリオ|利用シナリオ",
    ),
    (
        Label::PurposeScenario,
        "purpose and scenario|purpose/scenario|purposes and scenarios|purpose and usage scenario|purpose of use and scenario|使用目的及功能场景|使用目的与场景|使用目的和场景|使用目的及场景|使用目的/场景|目的及场景|使用场景和目的|使用场景及目的|使用场景/目的|场景及目的|用途及场景|功能及场景|使用目的、场景|使用目的和使用场景",
    ),
    (
        Label::Rules,
        "third party information processing rules|third party personal information processing rules|information processing rules|personal information processing rules|processing rules|third party rules|rules|rules link|link to rules|rules url|privacy policy|privacy policy link|privacy policy url|link to privacy policy|third party privacy policy|third party privacy policy link|privacy link|privacy notice|privacy statement|policy|policy link|policy url|privacy|terms|official privacy url|privacy policy/official website|privacy policy or official website|more information|第三方个人信息处理规则|个人信息处理规则|第三方信息处理规则|第三方处理规则|处理规则|隐私政策|隐私政策链接|隐私政策网址|隐私政策地址|隐私链接|隐私协议|隐私权政策|隐私权政策链接|第三方隐私政策|第三方隐私政策链接|合作方隐私链接|合作方隐私政策|第三方sdk隐私政策链接|第三方隐私政策链接,仅供参考|sdk隐私说明链接|sdk隐私说明|隐私说明|隐私声明|隐私简化声明|隐私政策及官网链接|个人信息保护政策|个人信息保护政策/官网链接|官网及隐私政策|隐私政策/官网链接|隐私政策或官网链接|官网链接/隐私政策|第三方个人信息处理规则链接|regeln zur informationsverarbeitung des dritten|regeln zur informationsverarbeitung dritter|regeln zur informationsverarbeitung|datenschutzrichtlinie|datenschutzerklärung|datenschutzerklaerung|datenschutz|regeln|verarbeitungsregeln des drittanbieters|verarbeitungsregeln|règles de traitement des informations par le tiers|règles de traitement des informations par des tiers|règles de traitement des informations|règles de traitement|politique de confidentialité|politique de confidentialite|règles|reglas de tratamiento de la información de terceros|reglas de tratamiento de información de terceros|reglas de procesamiento de información de terceros|reglas de tratamiento|política de privacidad|politica de privacidad|reglas|informativa sulla privacy|правила обработки информации третьей стороной|правила обработки информации третьими лицами|правила обработки информации третьих лиц|правила обработки информации|политика конфиденциальности|правила|правила третьей стороны|プライバシーポリシー|個人情報取扱規則|第三者の情報処理規則|개인정보 처리방침|개인정보처리방침|regeln des dritten zur informationsverarbeitung|norme sul trattamento delle informazioni di terze parti|regole di trattamento delle informazioni di terze parti|regole per il trattamento delle informazioni di terze parti|regras de processamento de informações de terceiros|regras de tratamento de informações de terceiros|política de privacidade|zasady przetwarzania informacji|zasady przetwarzania informacji przez podmiot trzeci|polityka prywatności|regels voor informatieverwerking door derden|privacybeleid|제3자 정보 처리 규칙|サードパーティの情報処理規則|第三者の情報取扱規則",
    ),
    (
        Label::Site,
        "official site|official website|website|official site link|official website link|site|home page|homepage|url|link|官网|官网链接|官方网站|官网地址|官网网址|合作方官网链接|第三方sdk官网链接|链接|网址|第三方链接|webseite|website des anbieters|site officiel|site web|sitio oficial|sitio web|сайт|официальный сайт|ссылка|公式サイト|공식 사이트",
    ),
    (
        Label::Version,
        "version|version number|version no|version id|revision|release|document version|statement version|current version|版本|版本号|当前版本|文档版本|версия|versión|バージョン|버전|versione|versão|fassung|wersja|versie|sürüm|versi|phiên bản",
    ),
    (
        Label::Date,
        "last updated|last updated on|updated|updated on|update date|date updated|date of update|last update|last modified|last revised|revised|revision date|effective date|effective|effective from|date|release date|published|published on|publication date|issue date|date of issue|version date|更新日期|更新时间|最近更新日期|最近更新时间|最后更新|最后更新日期|最新更新日期|最新更新时间|发布日期|发布时间|生效日期|生效时间|修订日期|修订时间|修改时间|修改日期|版本日期|日期|版本更新日期|版本发布日期|stand|letzte aktualisierung|zuletzt aktualisiert|aktualisiert am|datum|gültig ab|dernière mise à jour|derniere mise a jour|mise à jour|mis à jour le|date de mise à jour|date|date d entrée en vigueur|última actualización|ultima actualizacion|fecha de actualización|actualizado el|fecha|fecha de entrada en vigor|ultimo aggiornamento|última atualização|дата обновления|обновлено|последнее обновление|дата|дата вступления в силу|最終更新日|更新日|制定日|施行日|최종 업데이트|업데이트 날짜|시행일",
    ),
    (Label::DocTitle, "statement title|document title|statement|page title|文档标题|声明标题|文件名称"),
    (
        Label::Other,
        "permissions|permission|required permissions|system permissions|required function|required functions|data returned|returned data|service address|server address|storage|storage location|storage period|retention|retention period|legal basis|jurisdiction|country|region|address|contact|contact details|contact address|contact information|phone|email|e mail|note|notes|remark|remarks|security measures|security|data security capability|withdrawal|opt out|no|no.|number|序号|编号|权限|系统权限|申请权限|所需权限|涉及权限|敏感系统权限|调用权限|是否必需|必要性|返回数据|服务地址|存储地点|存储期限|保存期限|保存地点|联系方式|联系地址|联系电话|备注|安全措施|数据是否去标识化传输|第三方数据安全能力描述|去标识化|平台|适用平台|集成平台|sdk版本|国家|地区|是否跨境|是否出境|speicherort|speicherdauer|aufbewahrungsfrist|rechtsgrundlage|berechtigungen|autorisations|durée de conservation|base légale|permisos|plazo de conservación|base legal|разрешения|срок хранения|место хранения",
    ),
];

/// The label that the dictionary knows under this normalised text.
pub(crate) fn exact(normal: &str) -> Option<Label> {
    use std::{collections::HashMap, sync::OnceLock};
    static INDEX: OnceLock<HashMap<String, Label>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let words =
            DICTIONARY.iter().flat_map(|(label, words)| words.split('|').map(move |word| (self::normal(word), *label)));
        let mut index = HashMap::new();
        for (word, label) in words {
            index.entry(word).or_insert(label);
        }
        index
    });
    if normal.is_empty() || normal.len() > 160 {
        return None;
    }
    index.get(normal).copied().or_else(|| {
        // "Entry 3", "Feature 3".
        let counted = normal.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(' ');
        if let Some(Label::Title) = counted.and_then(|label| index.get(label)) {
            return Some(Label::Title);
        }
        // "Shared data (types)" and "Purpose of use (why)": what the brackets add does not matter.
        let outside = normal.split('(').next().unwrap_or_default().trim();
        let long = outside.contains(' ') || outside.chars().filter(|c| is_cjk(*c)).count() >= 4;
        (long && normal.ends_with(')')).then(|| index.get(outside).copied()).flatten()
    })
}

/// True when a label of the dictionary begins with this normalised text and goes on.
pub(crate) fn begins(normal: &str) -> bool {
    let words = DICTIONARY.iter().flat_map(|(_, words)| words.split('|'));
    normal.chars().count() >= 2 && words.into_iter().any(|word| word.len() > normal.len() && word.starts_with(normal))
}

/// A guess by key words. Only for texts that stand before a colon or on top of a column.
pub(crate) fn guess(normal: &str, has_value: bool) -> Option<Label> {
    if normal.contains([';', '。', ',', '，', '•', '·', '●', '|']) || normal.contains(". ") {
        return None;
    }
    let words: Vec<&str> = normal.split([' ', '/']).collect();
    if normal.chars().count() > 70 || words.len() > 9 {
        return None;
    }
    let asks = words.first().is_some_and(|first| ["who", "what", "why", "when", "how", "which"].contains(first));
    const SENTENCE: [&str; 18] = [
        "we",
        "is",
        "are",
        "will",
        "may",
        "you",
        "following",
        "can",
        "please",
        "wir",
        "nous",
        "мы",
        "below",
        "receives",
        "collects",
        "obtains",
        "gets",
        "shares",
    ];
    if !asks && words.iter().any(|word| SENTENCE.contains(word)) {
        return None;
    }
    if ["我们", "您", "如下", "以下"].iter().any(|word| normal.contains(word)) {
        return None;
    }
    let has = |stems: &[&str]| {
        stems.iter().any(|stem| {
            if stem.is_ascii() || !stem.chars().any(is_cjk) {
                words.iter().any(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).starts_with(stem))
            } else {
                normal.contains(stem)
            }
        })
    };
    let data = has(&["data", "information", "info", "field", "信息", "数据", "字段", "daten", "donn", "datos", "данн"]);
    let verb = has(&["shar", "collect", "process", "transfer", "共享", "收集", "处理", "获取", "传输", "涉及", "采集"]);
    if has(&[
        "storage",
        "store",
        "retention",
        "retain",
        "permission",
        "country",
        "jurisdiction",
        "legal",
        "存储",
        "保存",
        "权限",
    ]) {
        return Some(Label::Other);
    }
    if has(&[
        "url",
        "link",
        "rules",
        "policy",
        "terms",
        "privacy",
        "website",
        "链接",
        "网址",
        "官网",
        "隐私",
        "规则",
        "datenschutz",
        "règle",
        "confidential",
        "privacidad",
        "regla",
        "правил",
        "конфиденц",
    ]) {
        let site = has(&["website", "site", "官网"]) && !has(&["privacy", "policy", "隐私", "rules", "规则"]);
        return Some(if site { Label::Site } else { Label::Rules });
    }
    let purpose = has(&[
        "purpose",
        "why",
        "reason",
        "目的",
        "用途",
        "zweck",
        "finalit",
        "objectif",
        "propósito",
        "finalidad",
        "цел",
    ]);
    let scenario = has(&[
        "scenario",
        "scene",
        "when",
        "occasion",
        "circumstance",
        "trigger",
        "场景",
        "时机",
        "szenario",
        "scénario",
        "escenario",
        "сценари",
    ]);
    match (purpose, scenario) {
        (true, true) => return Some(Label::PurposeScenario),
        (true, false) => return Some(Label::Purpose),
        (false, true) => return Some(Label::Scenario),
        _ => {}
    }
    if has(&["updated", "date", "revis", "日期", "更新"]) && !data {
        return Some(Label::Date);
    }
    if has(&["method", "mode", "how", "manner", "方式", "方法", "methode", "méthode", "método", "способ", "метод"])
    {
        return Some(Label::Method);
    }
    if has(&[
        "recipient",
        "receiver",
        "operator",
        "provider",
        "vendor",
        "company",
        "partner",
        "controller",
        "who",
        "公司",
        "主体",
        "提供方",
        "接收方",
        "运营方",
        "合作方",
        "厂商",
        "机构",
        "empfänger",
        "anbieter",
        "destinat",
        "fournisseur",
        "proveedor",
        "получател",
        "компани",
    ]) {
        return Some(Label::ThirdParty);
    }
    if data && (verb || (has_value && words.len() <= 4)) {
        return Some(Label::Data);
    }
    if has(&["type", "类型", "形式", "typ", "tipo", "тип"])
        && (verb || has(&["access", "integration", "接入", "集成", "sdk"]))
    {
        return Some(Label::Type);
    }
    if has(&["sdk"]) && has(&["name", "名称", "nom", "nombre", "назван"]) {
        return Some(Label::Name);
    }
    if has(&["third", "第三方", "dritt", "tiers", "tercero", "трет"]) {
        return Some(Label::ThirdParty);
    }
    if asks && (verb || data) {
        return Some(Label::Data);
    }
    if has(&["feature", "function", "功能"]) && words.len() <= 3 {
        return Some(Label::Title);
    }
    None
}

/// What a property of an array in source code is called: `officialPrivacyUrl`, `third_party`, `dataItems`.
pub(crate) fn key(key: &str) -> Option<Label> {
    let mut words = String::new();
    let mut lower = false;
    for c in key.chars() {
        if c.is_uppercase() && lower {
            words.push(' ');
        }
        lower = c.is_lowercase() || c.is_ascii_digit();
        words.push(c);
    }
    let normal = normal(&words);
    match normal.as_str() {
        "share type" | "sharetype" => Some(Label::Share),
        "service type" | "sharing type" => Some(Label::Type),
        "sharing type raw" => Some(Label::Type),
        "shared data raw" | "data items" | "personal type" | "personal types" | "items" | "data list" => {
            Some(Label::Data)
        }
        "scene" | "scenes" => Some(Label::Scenario),
        "desc" | "description" => None,
        "id" | "key" | "icon" => Some(Label::Other),
        "version" | "version date" => Some(if normal == "version" { Label::Version } else { Label::Date }),
        other => exact(other).or_else(|| guess(other, true)),
    }
}

/// `dataItems`: the data one by one.
pub(crate) fn is_list_key(key: &str) -> bool {
    ["dataitems", "data_items", "shareddata", "shared_data", "datalist", "fields"]
        .contains(&key.to_lowercase().as_str())
}

/// `personalType`, `shared_data_raw`: the same data as a category or a sentence.
pub(crate) fn is_category_key(key: &str) -> bool {
    [
        "personaltype",
        "personal_type",
        "personaltypes",
        "datatype",
        "data_type",
        "shared_data_raw",
        "category",
        "datacategory",
    ]
    .contains(&key.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_known_in_any_dress() {
        for (text, label) in [
            ("**Third-party name**", Label::ThirdParty),
            ("Third Party  Name", Label::ThirdParty),
            ("第三⽅个⼈信息处理规则", Label::Rules),
            ("共享 方式", Label::Method),
            ("Shared data (types)", Label::Data),
            ("Données partagées", Label::Data),
        ] {
            assert_eq!(exact(&normal(text)), Some(label), "{text}");
        }
    }

    #[test]
    fn an_unseen_label_is_guessed_and_a_sentence_is_not() {
        assert_eq!(guess(&normal("Categories of personal data collected"), true), Some(Label::Data));
        assert_eq!(guess(&normal("Who gets the data"), true), Some(Label::ThirdParty));
        assert_eq!(guess(&normal("Link to the third party's rules"), true), Some(Label::Rules));
        assert_eq!(guess(&normal("第三方SDK的公司"), true), Some(Label::ThirdParty));
        assert_eq!(guess(&normal("We share the following data with Xiaomi"), true), None);
        assert_eq!(key("officialPrivacyUrl"), Some(Label::Rules));
        assert_eq!(key("third_party"), Some(Label::ThirdParty));
        assert_eq!(key("dataItems"), Some(Label::Data));
    }
}
