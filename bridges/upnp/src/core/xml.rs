//! Documents of devices as small trees, within limits. No document type is read, so no entity beyond XML's own five
//! exists, and nothing is ever fetched.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Largest document, in bytes (the sheet of real devices has none above 30 KiB; SCPDs of some televisions reach 100).
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 24;
/// Most elements and attributes together.
pub const MAX_NODES: usize = 8192;

/// An element, by its name without prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its local name.
    pub name: String,
    /// Local names and values.
    pub attributes: Vec<(String, String)>,
    /// The text right in it, blanks around it left out.
    pub text: String,
    /// The elements right in it.
    pub children: Vec<Element>,
}

/// Why a document is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// More than [`MAX_BYTES`].
    #[error("a document of more than {} KiB", MAX_BYTES / 1024)]
    Large,
    /// Deeper than [`MAX_DEPTH`].
    #[error("a document nested deeper than {MAX_DEPTH}")]
    Deep,
    /// More than [`MAX_NODES`].
    #[error("a document of more than {MAX_NODES} elements and attributes")]
    Many,
    /// A document type, or an entity that only one could define.
    #[error("a document with a document type or entities of its own")]
    DocumentType,
    /// Not well formed, or empty.
    #[error("not a well-formed document")]
    Form,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }
    /// The text of the first child of this name; empty counts as none.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    /// This element and all in it, from the outside in.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            waiting.extend(next.children.iter().rev());
            Some(next)
        })
    }
}

/// Reads a document; its outermost element.
///
/// # Errors
/// [`XmlError`].
pub fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
    if bytes.len() > MAX_BYTES {
        return Err(XmlError::Large);
    }
    let text = String::from_utf8_lossy(bytes);
    // Some devices begin with a byte order mark or blank lines, or end with zeros.
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut nodes = 0;
    loop {
        match reader.read_event().map_err(|_| XmlError::Form)? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(XmlError::Deep);
                }
                open.push(begun(&start, &mut nodes)?);
            }
            Event::End(_) => {
                let mut done = open.pop().ok_or(XmlError::Form)?;
                done.text = done.text.trim().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    // What comes after the outermost element is of no interest.
                    None => return Ok(done),
                }
            }
            Event::Text(text) => append(&mut open, &text.xml10_content()),
            Event::CData(text) => append(&mut open, &text.xml10_content()),
            Event::GeneralRef(name) => {
                let resolved = match name.resolve_char_ref().map_err(|_| XmlError::Form)? {
                    Some(character) => character.to_string(),
                    None => {
                        let known = quick_xml::escape::resolve_predefined_entity(&name.xml10_content());
                        known.ok_or(XmlError::DocumentType)?.to_owned()
                    }
                };
                append(&mut open, &resolved);
            }
            Event::DocType(_) => return Err(XmlError::DocumentType),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
            Event::Eof => return Err(XmlError::Form),
        }
    }
}

fn begun(start: &BytesStart<'_>, nodes: &mut usize) -> Result<Element, XmlError> {
    let mut element = Element { name: local(start.local_name()), ..Element::default() };
    count(nodes)?;
    for attribute in start.attributes() {
        count(nodes)?;
        let attribute = attribute.map_err(|_| XmlError::Form)?;
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| XmlError::DocumentType)?.into_owned();
        element.attributes.push((local(attribute.key.local_name()), value));
    }
    Ok(element)
}

fn local(name: quick_xml::name::LocalName<'_>) -> String {
    name.into_inner().to_owned()
}

fn count(nodes: &mut usize) -> Result<(), XmlError> {
    *nodes += 1;
    if *nodes > MAX_NODES { Err(XmlError::Many) } else { Ok(()) }
}

fn append(open: &mut [Element], text: &str) {
    if let Some(inner) = open.last_mut() {
        inner.text.push_str(text);
    }
}

/// `text` as it stands between tags. Quotation marks stay as they are: some televisions refuse them escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // XML 1.0 has no other control characters.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_prefix_and_texts_their_escapes() {
        let read = parse(
            b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- x --><a:root xmlns:a=\"u\"><a:b k=\"&lt;1&#50;\"> x &amp; \
              <![CDATA[<y>]]> </a:b><c/><b>2</b></a:root>\0",
        )
        .unwrap();
        assert_eq!((read.name.as_str(), read.children.len()), ("root", 3));
        assert_eq!(read.text_of("b"), Some("x & <y>"));
        assert_eq!(read.child("b").unwrap().attribute("k"), Some("<12"));
        assert_eq!(read.text_of("c"), None);
        let names: Vec<&str> = read.all().map(|element| element.name.as_str()).collect();
        assert_eq!(names, ["root", "b", "c", "b"]);
    }

    #[test]
    fn bombs_are_refused_before_they_go_off() {
        let laughs = "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert_eq!(parse(laughs.as_bytes()), Err(XmlError::DocumentType));
        let outside = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>";
        assert_eq!(parse(outside.as_bytes()), Err(XmlError::DocumentType));
        assert_eq!(parse(b"<a>&own;</a>"), Err(XmlError::DocumentType));
        assert_eq!(parse(b"<a b='&own;'/>"), Err(XmlError::DocumentType));
        let deep = "<a>".repeat(100_000 / 3);
        assert_eq!(parse(deep.as_bytes()), Err(XmlError::Deep));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES));
        assert_eq!(parse(wide.as_bytes()), Err(XmlError::Many));
        let attributes: String = (0..MAX_NODES).map(|n| format!(" a{n}=''")).collect();
        assert_eq!(parse(format!("<a{attributes}/>").as_bytes()), Err(XmlError::Many));
        assert_eq!(parse(&vec![b' '; MAX_BYTES + 1]), Err(XmlError::Large));
        for broken in ["", "<a>", "</a>", "<a></b>", "text", "<a", "<a b=>", "\u{0}<"] {
            assert_eq!(parse(broken.as_bytes()), Err(XmlError::Form), "{broken}");
        }
    }

    #[test]
    fn what_is_escaped_reads_back() {
        let text = "a<b> & \"c\" ]]> \u{e9}";
        assert_eq!(parse(format!("<x>{}</x>", escaped(text)).as_bytes()).unwrap().text, text);
    }
}
