//! A small tolerant reader of HTML: tags to blocks, nothing more. It never fails; what is not closed is
//! closed by what follows.

use super::block::{Block, Line, Mark, Row, SOFT, Table, clean, link};

/// True when the text is HTML rather than text that mentions a tag.
pub(crate) fn is_html(text: &str) -> bool {
    let head: String = text.chars().take(4096).collect::<String>().to_ascii_lowercase();
    let start = head.trim_start();
    if start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || head.contains("<body")
        || head.contains("<head")
    {
        return true;
    }
    let head = if text.len() > 65_536 { head.clone() } else { text.to_ascii_lowercase() };
    let tags = [
        "<table", "<tr", "<li", "<div", "<p>", "<p ", "<h1", "<h2", "<h3", "<h4", "<dl", "<section", "<ul", "<ol",
        "<td", "<dt", "<article",
    ];
    let count: usize = tags.iter().map(|tag| head.matches(tag).count()).sum();
    count >= 3 || (count > 0 && start.starts_with('<'))
}

/// What was read of a page.
#[derive(Default)]
pub(crate) struct Page {
    pub blocks: Vec<Block>,
    pub title: Option<String>,
    pub language: Option<String>,
    /// Contents of `<script>` with the line they begin at: they may hold arrays.
    pub scripts: Vec<(usize, String)>,
}

#[derive(Default)]
struct Reader {
    page: Page,
    text: String,
    line: usize,
    text_line: usize,
    /// The running line holds more than spaces.
    has_text: bool,
    blank: bool,
    depth: usize,
    item: bool,
    heading: Option<u8>,
    strong: usize,
    weak_text: bool,
    tables: Vec<Open>,
    links: Vec<(String, usize)>,
}

/// The widest table that is read.
const MAX_COLUMNS: usize = 100;

#[derive(Default)]
struct Open {
    table: Table,
    row: Option<Row>,
    cell: Option<(String, usize, usize)>,
    spans: Vec<(usize, String)>,
}

pub(crate) fn read(source: &str) -> Page {
    let mut reader = Reader { line: 1, text_line: 1, blank: true, ..Reader::default() };
    let mut rest = source;
    while !rest.is_empty() {
        let Some(open) = rest.find('<') else {
            reader.text(rest);
            break;
        };
        reader.text(&rest[..open]);
        rest = &rest[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = comment.find("-->").map_or(rest.len(), |end| end + 7);
            reader.line += rest[..end].matches('\n').count();
            rest = &rest[end..];
            continue;
        }
        let after = rest[1..].chars().next();
        if !after.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            reader.text("<");
            rest = &rest[1..];
            continue;
        }
        let Some((end, whole)) = tag_end(rest) else {
            reader.text("<");
            rest = &rest[1..];
            continue;
        };
        let tag = &rest[1..end];
        let lines = rest[..whole].matches('\n').count();
        rest = &rest[whole..];
        let name = tag_name(tag);
        if name == "pre" && reader.tables.is_empty() {
            reader.line += lines;
            let (body, used) = raw_body(rest, &name);
            reader.flush(true);
            reader.preformatted(body);
            reader.line += rest[..used].matches('\n').count();
            rest = &rest[used..];
            continue;
        }
        if matches!(name.as_str(), "script" | "style" | "template" | "noscript" | "svg" | "title") {
            reader.line += lines;
            let (body, used) = raw_body(rest, &name);
            match name.as_str() {
                "script" => reader.page.scripts.push((reader.line, body.to_owned())),
                "title" => reader.page.title = Some(clean(&entities(body))).filter(|title| !title.is_empty()),
                "noscript" | "template" => {}
                _ => {}
            }
            reader.line += rest[..used].matches('\n').count();
            rest = &rest[used..];
            continue;
        }
        reader.tag(&name, tag);
        reader.line += lines;
    }
    reader.finish()
}

/// Where the tag's text ends and where the page goes on; `None` when this `<` opens no tag.
fn tag_end(text: &str) -> Option<(usize, usize)> {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices().skip(1).take(4096) {
        match (quote, c) {
            (None, '"' | '\'') if before == '=' => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '>') => return Some((at, at + 1)),
            (None, '<') => return Some((at, at)),
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
    }
    text.len().le(&4096).then_some((text.len(), text.len()))
}

fn tag_name(tag: &str) -> String {
    let name = tag.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default();
    let close = name.starts_with('/');
    let bare: String = name.trim_matches('/').chars().take(20).collect::<String>().to_ascii_lowercase();
    if close { format!("/{bare}") } else { bare }
}

fn raw_body<'a>(rest: &'a str, name: &str) -> (&'a str, usize) {
    let close = format!("</{name}");
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(found) = rest[at..].find("</") {
        let start = at + found;
        if bytes[start..].len() >= close.len()
            && bytes[start..start + close.len()].eq_ignore_ascii_case(close.as_bytes())
        {
            let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
            return (&rest[..start], end);
        }
        at = start + 2;
    }
    (rest, rest.len())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find(name) {
        let at = from + found;
        let rest = tag[at + name.len()..].trim_start();
        let starts = lower[..at].ends_with(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        if let Some(value) = rest.strip_prefix('=').filter(|_| starts) {
            let value = value.trim_start();
            let end = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].find(quote).map(|end| &value[1..end + 1]),
                _ => value.split(|c: char| c.is_whitespace() || c == '>').next(),
            };
            return end.map(entities);
        }
        from = at + name.len();
    }
    None
}

impl Reader {
    fn text(&mut self, raw: &str) {
        if !raw.is_empty() {
            let text = entities(raw);
            let visible = !text.trim().is_empty();
            match self.tables.last_mut().and_then(|table| table.cell.as_mut()) {
                Some(cell) => cell.0.push_str(&text.replace('\n', " ")),
                None => {
                    if visible {
                        if !self.has_text {
                            self.has_text = true;
                            self.text_line =
                                self.line + raw[..raw.len() - raw.trim_start().len()].matches('\n').count();
                            self.weak_text = false;
                        }
                        self.weak_text |= self.strong == 0;
                    }
                    self.text.push_str(&text.replace('\n', " "));
                }
            }
        }
        self.line += raw.matches('\n').count();
    }

    /// Text whose line ends count.
    fn preformatted(&mut self, body: &str) {
        let mut text = String::new();
        for (index, part) in body.split('<').enumerate() {
            text.push_str(if index == 0 { part } else { part.split_once('>').map_or("", |(_, rest)| rest) });
        }
        for mut block in super::text::blocks(&entities(&text)) {
            match &mut block {
                Block::Line(line) => line.no += self.line - 1,
                Block::Table(table) => table.rows.iter_mut().for_each(|row| row.no += self.line - 1),
            }
            self.page.blocks.push(block);
        }
    }

    fn soft(&mut self, c: char) {
        match self.tables.last_mut().and_then(|table| table.cell.as_mut()) {
            Some(cell) => cell.0.push(c),
            None => self.text.push(c),
        }
    }

    /// Ends the running line.
    fn flush(&mut self, blank_after: bool) {
        let text = std::mem::take(&mut self.text);
        if std::mem::take(&mut self.has_text) {
            let mut mark = match self.heading {
                Some(level) => Mark::Heading(level),
                None if self.item => Mark::Bullet,
                None if !self.weak_text => Mark::Strong,
                None => Mark::Plain,
            };
            let mut text = text.trim().trim_matches(SOFT).trim().to_owned();
            if let Some((found, rest)) = super::text::marker(&text) {
                if mark == Mark::Plain {
                    mark = found;
                }
                text = rest.to_owned();
            }
            let plain = clean(&text);
            if mark == Mark::Strong
                && (plain.contains([':', '：']) || super::labels::exact(&super::labels::normal(&plain)).is_some())
            {
                mark = Mark::Plain;
            }
            let line = Line { no: self.text_line, text, indent: self.depth * 2, mark, blank_before: self.blank };
            self.page.blocks.push(Block::Line(line));
            self.item = false;
            self.blank = false;
        }
        self.blank |= blank_after;
    }

    fn tag(&mut self, name: &str, tag: &str) {
        let in_cell = self.tables.last().is_some_and(|table| table.cell.is_some());
        match name {
            "html" => self.page.language = attribute(tag, "lang").filter(|lang| !lang.is_empty()),
            "br" | "/br" if in_cell => self.soft('\n'),
            "br" | "/br" => self.flush(false),
            "p" | "/p" | "div" | "/div" | "/li" | "ul" | "ol" | "/ul" | "/ol" | "dl" | "/dl" | "dt" | "dd" | "/dt"
            | "/dd"
                if in_cell =>
            {
                self.soft('\n');
            }
            "li" if in_cell => self.soft('\n'),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush(true);
                self.heading = name[1..].parse().ok();
            }
            "/h1" | "/h2" | "/h3" | "/h4" | "/h5" | "/h6" => {
                self.flush(true);
                self.heading = None;
            }
            "summary" | "legend" | "figcaption" => {
                self.flush(true);
                self.heading = Some(6);
            }
            "/summary" | "/legend" | "/figcaption" => {
                self.flush(true);
                self.heading = None;
            }
            "ul" | "ol" => {
                self.flush(false);
                self.depth += 1;
            }
            "/ul" | "/ol" => {
                self.flush(true);
                self.depth = self.depth.saturating_sub(1);
            }
            "li" => {
                self.flush(false);
                self.item = true;
            }
            "/li" => {
                self.flush(false);
                self.item = false;
            }
            "dt" | "/dt" | "dd" | "/dd" => self.flush(false),
            "p" | "/p" | "div" | "/div" | "section" | "/section" | "article" | "/article" | "hr" | "header"
            | "/header" | "footer" | "/footer" | "main" | "/main" | "body" | "/body" | "dl" | "/dl" | "blockquote"
            | "/blockquote" | "details" | "/details" | "fieldset" | "/fieldset" | "nav" | "/nav" | "pre" | "/pre"
            | "form" | "/form" | "aside" | "/aside" | "figure" | "/figure" => {
                if self.item && !self.has_text {
                    return;
                }
                self.flush(name != "div" && name != "/div" || self.text.is_empty());
            }
            "b" | "strong" => {
                self.strong += 1;
                self.soft(SOFT);
            }
            "/b" | "/strong" => {
                self.strong = self.strong.saturating_sub(1);
                self.soft(SOFT);
            }
            "span" | "/span" | "em" | "/em" | "i" | "/i" | "label" | "/label" | "u" | "/u" | "font" | "/font" => {
                self.soft(SOFT)
            }
            "a" => {
                self.close_link();
                let at = self
                    .tables
                    .last()
                    .and_then(|table| table.cell.as_ref())
                    .map_or(self.text.len(), |cell| cell.0.len());
                self.links.push((attribute(tag, "href").unwrap_or_default(), at));
            }
            "/a" => self.close_link(),
            _ => self.table_tag(name, tag),
        }
    }

    fn close_link(&mut self) {
        let Some((address, at)) = self.links.pop() else { return };
        let text = match self.tables.last_mut().and_then(|table| table.cell.as_mut()) {
            Some(cell) => &mut cell.0,
            None => &mut self.text,
        };
        if at <= text.len() && text.is_char_boundary(at) {
            let inner = text.split_off(at);
            let linked = link(&inner, &address);
            text.push_str(&linked);
        }
    }

    fn table_tag(&mut self, name: &str, tag: &str) {
        match name {
            "table" => {
                if self.tables.len() >= 8 {
                    return;
                }
                self.flush(true);
                self.tables.push(Open::default());
            }
            "/table" => self.close_table(),
            "tr" => {
                self.close_row();
                let no = self.line;
                if let Some(table) = self.tables.last_mut() {
                    table.row = Some(Row { no, ..Row::default() });
                }
            }
            "/tr" => self.close_row(),
            "td" | "th" => {
                self.close_cell();
                let span =
                    |name| attribute(tag, name).and_then(|n| n.trim().parse::<usize>().ok()).unwrap_or(1).clamp(1, 200);
                let (rows, columns) = (span("rowspan"), span("colspan"));
                let no = self.line;
                if let Some(table) = self.tables.last_mut() {
                    table.row.get_or_insert_with(|| Row { no, ..Row::default() });
                    table.cell = Some((String::new(), rows, columns));
                }
            }
            "/td" | "/th" => self.close_cell(),
            "caption" => {
                self.heading = Some(5);
            }
            "/caption" => {
                self.flush(true);
                self.heading = None;
            }
            _ => {}
        }
    }

    fn close_cell(&mut self) {
        let Some(table) = self.tables.last_mut() else { return };
        let (Some((text, rows, columns)), Some(row)) = (table.cell.take(), table.row.as_mut()) else { return };
        let text = text.trim().to_owned();
        fill(row, &mut table.spans);
        for copy in 0..columns {
            let column = row.cells.len();
            if column >= MAX_COLUMNS {
                break;
            }
            let text = if copy == 0 || text.len() <= 200 { text.clone() } else { String::new() };
            row.cells.push(text.clone());
            if table.spans.len() <= column {
                table.spans.resize(column + 1, (0, String::new()));
            }
            table.spans[column] = (rows - 1, text.clone());
        }
        self.text.clear();
        self.has_text = false;
    }

    fn close_row(&mut self) {
        self.close_cell();
        let Some(table) = self.tables.last_mut() else { return };
        if let Some(mut row) = table.row.take() {
            fill(&mut row, &mut table.spans);
            if row.cells.iter().any(|cell| !cell.is_empty()) {
                table.table.rows.push(row);
            }
        }
    }

    fn close_table(&mut self) {
        self.close_row();
        let Some(open) = self.tables.pop() else { return };
        if let Some(outer) = self.tables.last_mut().and_then(|table| table.cell.as_mut()) {
            // A table for layout inside a cell: its text stays with the cell.
            for row in open.table.rows {
                outer.0.push('\n');
                outer.0.push_str(&row.cells.join(" "));
            }
            return;
        }
        if !open.table.rows.is_empty() {
            self.page.blocks.push(Block::Table(open.table));
        }
        self.blank = true;
    }

    fn finish(mut self) -> Page {
        while !self.links.is_empty() {
            self.close_link();
        }
        while !self.tables.is_empty() {
            if let Some(table) = self.tables.last_mut() {
                let open = table.row.is_some();
                if let Some(row) = table.row.as_mut().filter(|_| open) {
                    row.cut = true;
                }
            }
            self.close_table();
        }
        self.flush(false);
        self.page
    }
}

/// Cells that reach down from rows above.
fn fill(row: &mut Row, spans: &mut [(usize, String)]) {
    while let Some((left, text)) = spans.get_mut(row.cells.len()).filter(|(left, _)| *left > 0) {
        *left -= 1;
        row.cells.push(text.clone());
    }
}

/// Character references, by number and the common names.
pub(crate) fn entities(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        match end.and_then(|end| entity(&rest[1..end]).map(|c| (c, end))) {
            Some((c, end)) => {
                out.push_str(&c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<String> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        let c = char::from_u32(code)?;
        return Some(if c == '\u{A0}' { ' ' } else { c }.to_string())
            .filter(|_| !c.is_control() || c == '\n' || c == '\t');
    }
    let text = match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        "nbsp" | "ensp" | "emsp" | "thinsp" => " ",
        "bull" => "•",
        "middot" => "·",
        "ndash" => "–",
        "mdash" => "—",
        "lsquo" => "‘",
        "rsquo" => "’",
        "ldquo" => "“",
        "rdquo" => "”",
        "hellip" => "…",
        "copy" => "©",
        "reg" => "®",
        "trade" => "™",
        "times" => "×",
        "colon" => ":",
        "comma" => ",",
        "semi" => ";",
        "lpar" => "(",
        "rpar" => ")",
        "auml" => "ä",
        "ouml" => "ö",
        "uuml" => "ü",
        "Auml" => "Ä",
        "Ouml" => "Ö",
        "Uuml" => "Ü",
        "szlig" => "ß",
        "eacute" => "é",
        "egrave" => "è",
        "agrave" => "à",
        "ecirc" => "ê",
        "ccedil" => "ç",
        "aacute" => "á",
        "iacute" => "í",
        "oacute" => "ó",
        "uacute" => "ú",
        "ntilde" => "ñ",
        "zwnj" | "zwj" | "shy" => "",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_reach_down_and_scripts_are_kept_apart() {
        let page = read(
            "<html lang=en><script>var a = '<td>';</script><table><tr><th>A<th>B</tr><tr><td rowspan=2>x<td>1<tr><td>2</table>",
        );
        let Block::Table(table) = &page.blocks[0] else { panic!("{:?}", page.blocks) };
        let cells: Vec<_> = table.rows.iter().map(|row| row.cells.join("|")).collect();
        assert_eq!(cells, ["A|B", "x|1", "x|2"]);
        assert_eq!(page.scripts.len(), 1);
        assert_eq!(page.language.as_deref(), Some("en"));
    }

    #[test]
    fn a_line_knows_its_number_and_its_dress() {
        let page = read("<h2>T</h2>\n<ul>\n<li><b>Purpose</b> a&amp;b</li></ul>");
        let marks: Vec<_> = page
            .blocks
            .iter()
            .map(|block| match block {
                Block::Line(line) => (line.no, line.mark, clean(&line.text)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(marks, [(1, Mark::Heading(2), "T".to_owned()), (3, Mark::Bullet, "Purpose a&b".to_owned())]);
    }
}
