//! The client against a server of these tests, which may do what real ones must not.

use super::*;

/// One packet of a server.
fn packet(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 5;
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), body].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn status(id: u32, code: u32) -> Vec<u8> {
    packet(101, id, &[&code.to_be_bytes()[..], &string(b"words"), &string(b"en")].concat())
}

fn attributes(mode: u32, size: u64) -> Vec<u8> {
    let mut body = 13u32.to_be_bytes().to_vec();
    body.extend(size.to_be_bytes());
    body.extend(mode.to_be_bytes());
    body.extend([0, 0, 0, 1, 0, 0, 0, 9]);
    body
}

const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;

fn names(id: u32, entries: &[(&[u8], u32)]) -> Vec<u8> {
    let mut body = (entries.len() as u32).to_be_bytes().to_vec();
    for (name, mode) in entries {
        body.extend([string(name), string(b"-rw-r--r-- who knows"), attributes(*mode, 7)].concat());
    }
    packet(104, id, &body)
}

/// What a client asked: type, number, body.
type Asked = (u8, u32, Vec<u8>);
/// It waits.
const IDLE: u8 = 0;

/// Runs a job against `serve`, which answers each request; what happened.
fn run(mut sftp: Sftp, cut: usize, mut serve: impl FnMut(Asked) -> Vec<Vec<u8>>) -> Vec<Event> {
    let now = Instant::now();
    let mut events = Vec::new();
    let mut answers = VecDeque::new();
    let mut is_idle = false;
    for _ in 0..1_000_000 {
        match sftp.poll_output(now) {
            Output::Transmit(bytes) => {
                let id = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
                answers.extend(serve((bytes[4], id, bytes[9..].to_vec())));
                is_idle = false;
            }
            Output::Event(event) => {
                let over = matches!(event, Event::Failed(_) | Event::Done | Event::Listed(_));
                if matches!(event, Event::Found { .. }) {
                    sftp.go_on(now);
                }
                events.push(event);
                if over {
                    return events;
                }
            }
            Output::Wait(_) => match answers.pop_front() {
                Some(answer) => answer.chunks(cut).for_each(|part| sftp.handle(Input::Bytes(part), now)),
                None if is_idle => sftp.handle(Input::Closed, now),
                None => {
                    is_idle = true;
                    answers.extend(serve((IDLE, 0, Vec::new())));
                }
            },
        }
    }
    panic!("no end: {events:?}")
}

fn hello() -> Vec<u8> {
    packet(2, 3, &string(b"x@y"))
}

/// A folder, told in these answers.
fn folder(answers: &[&[(&[u8], u32)]]) -> impl FnMut(Asked) -> Vec<Vec<u8>> {
    let mut left: VecDeque<Vec<(Vec<u8>, u32)>> =
        answers.iter().map(|page| page.iter().map(|(name, mode)| (name.to_vec(), *mode)).collect()).collect();
    move |(kind, id, _)| match kind {
        1 => vec![hello()],
        11 => vec![packet(102, id, &string(b"h"))],
        12 => match left.pop_front() {
            Some(page) => {
                let page: Vec<_> = page.iter().map(|(name, mode)| (name.as_slice(), *mode)).collect();
                vec![names(id, &page)]
            }
            None => vec![status(id, 1)],
        },
        4 => vec![status(id, 0)],
        _ => Vec::new(),
    }
}

/// A file of these bytes. Answers wait until all is asked, come back to front, and have at most `most` bytes.
fn file(content: Vec<u8>, said: u64, most: usize) -> impl FnMut(Asked) -> Vec<Vec<u8>> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    move |(kind, id, body)| match kind {
        1 => vec![hello()],
        17 => vec![packet(105, id, &attributes(FILE, said))],
        3 => vec![packet(102, id, &string(b"h"))],
        5 => {
            let offset = u64::from_be_bytes(body[5..13].try_into().unwrap()) as usize;
            let length = u32::from_be_bytes(body[13..17].try_into().unwrap()) as usize;
            let part = &content[offset.min(content.len())..(offset + length.min(most)).min(content.len())];
            held.push(if part.is_empty() { status(id, 1) } else { packet(103, id, &string(part)) });
            Vec::new()
        }
        IDLE => {
            held.reverse();
            std::mem::take(&mut held)
        }
        _ => vec![status(id, 0)],
    }
}

#[test]
fn a_folder_is_listed_sorted_and_without_what_is_no_name() {
    let pages: &[&[(&[u8], u32)]] = &[
        &[(b".", FOLDER), (b"..", FOLDER), (b"b.jpg", FILE), (b"../../etc/passwd", FILE)],
        &[(b"a\x1b[2J\n", FILE), (b"DCIM", FOLDER), (b"\xff\xfe", FILE), (b"x", 0o120_777), (b"tty", 0o020_666)],
    ];
    for cut in [1, 7, 4096] {
        let events = run(Sftp::list("/sd/", Instant::now()), cut, folder(pages));
        let [Event::Listed(listing)] = &events[..] else { panic!("{events:?}") };
        let named: Vec<_> = listing.entries.iter().map(|entry| (entry.path.as_str(), entry.kind, entry.size)).collect();
        let expected = [
            ("/sd/DCIM", Kind::Folder, None),
            ("/sd/a\x1b[2J\n", Kind::File, Some(7)),
            ("/sd/b.jpg", Kind::File, Some(7)),
            ("/sd/tty", Kind::Other, None),
            ("/sd/x", Kind::Link, None),
        ];
        assert_eq!(named, expected);
        assert_eq!((listing.more, listing.nameless), (false, 2));
        assert_eq!(listing.entries[0].modified, Some(9));
    }
}

#[test]
fn of_an_endless_folder_ten_thousand_are_told() {
    let mut at = 0;
    let events = run(Sftp::list("/sd", Instant::now()), 100_000, |(kind, id, _)| match kind {
        1 => vec![hello()],
        11 => vec![packet(102, id, &string(b"h"))],
        12 => {
            at += 1;
            let all: Vec<_> = (0..300).map(|name| format!("{at}-{name}").into_bytes()).collect();
            vec![names(id, &all.iter().map(|name| (name.as_slice(), FILE)).collect::<Vec<_>>())]
        }
        _ => vec![status(id, 0)],
    });
    let [Event::Listed(listing)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((listing.entries.len(), listing.more), (MAX_ENTRIES, true));
}

#[test]
fn a_folder_that_tells_nothing_for_ever_is_not_believed() {
    for page in [&[][..], &[(b".".as_slice(), FOLDER)][..], &[(b"a/b".as_slice(), FILE)][..]] {
        let events = run(Sftp::list("/sd", Instant::now()), 4096, |(kind, id, _)| match kind {
            1 => vec![hello()],
            11 => vec![packet(102, id, &string(b"h"))],
            _ => vec![names(id, page)],
        });
        assert_eq!(events, [Event::Failed(SftpError::Malformed)]);
    }
}

#[test]
fn a_file_comes_whole_whatever_the_order_and_size_of_its_portions() {
    let sizes = [0, 1, 32 * 1024, 32 * 1024 + 1, 1_000_003];
    for (size, most) in sizes.into_iter().flat_map(|size| [(size, usize::MAX), (size, 20_000)]) {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let events = run(Sftp::get("/sd/a", Instant::now()), 50_000, file(content.clone(), size as u64, most));
        let mut events = events.into_iter();
        assert_eq!(events.next(), Some(Event::Found { size: size as u64, modified: Some(9) }));
        assert_eq!(events.next_back(), Some(Event::Done));
        let mut came = Vec::new();
        for event in events {
            let Event::Data(data) = event else { panic!("{event:?}") };
            came.extend(data);
        }
        assert!(came == content, "{size} {most}");
    }
}

#[test]
fn a_file_that_became_shorter_fails_and_one_that_grew_ends_where_it_was() {
    let events = run(Sftp::get("/sd/a", Instant::now()), 4096, file(vec![1; 100], 200, usize::MAX));
    assert_eq!(events.last(), Some(&Event::Failed(SftpError::Short { got: 0, size: 200 })));
    let events = run(Sftp::get("/sd/a", Instant::now()), 4096, file(vec![1; 100], 60, usize::MAX));
    assert_eq!(events[1..], [Event::Data(vec![1; 60]), Event::Done]);
}

#[test]
fn no_more_is_asked_for_than_is_taken() {
    let now = Instant::now();
    let mut sftp = Sftp::get("/sd/a", now);
    let mut serve = file(vec![7; 8 << 20], 8 << 20, usize::MAX);
    let mut asked = 0;
    for _ in 0..1000 {
        match sftp.poll_output(now) {
            Output::Transmit(bytes) => {
                let id = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
                asked += usize::from(bytes[4] == 5);
                serve((bytes[4], id, bytes[9..].to_vec())).iter().for_each(|answer| {
                    sftp.handle(Input::Bytes(answer), now);
                });
            }
            Output::Event(Event::Found { .. }) => sftp.go_on(now),
            Output::Event(_) => break,
            Output::Wait(_) => {}
        }
    }
    assert_eq!(asked, WINDOW);
}

#[test]
fn what_is_no_file_or_not_there_is_said() {
    let answer = |answer: fn(u32) -> Vec<u8>| {
        let serve = move |(kind, id, _): Asked| match kind {
            IDLE => Vec::new(),
            1 => vec![hello()],
            _ => vec![answer(id)],
        };
        match run(Sftp::get("/sd/a", Instant::now()), 4096, serve).pop() {
            Some(Event::Failed(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer(|id| packet(105, id, &attributes(FOLDER, 4096))), SftpError::NoFile);
    assert_eq!(answer(|id| packet(105, id, &attributes(0o010_644, 0))), SftpError::NoFile);
    assert_eq!(answer(|id| status(id, 2)), SftpError::NotFound);
    assert_eq!(answer(|id| status(id, 3)), SftpError::Denied);
    assert_eq!(answer(|id| status(id, 4)), SftpError::Said("words".into()));
    assert_eq!(answer(|id| status(id + 1, 2)), SftpError::Malformed, "nobody asked that");
    assert_eq!(answer(|id| packet(103, id, &string(b"x"))), SftpError::Malformed);
    assert_eq!(answer(|_| u32::MAX.to_be_bytes().to_vec()), SftpError::Length(u32::MAX as usize));
    assert_eq!(answer(|_| vec![0; 4]), SftpError::Length(0));
    assert_eq!(answer(|_| Vec::new()), SftpError::Closed);
}

#[test]
fn portions_that_nobody_asked_for_are_refused() {
    for bad in [
        (|id| packet(103, id + 100, &string(b"x"))) as fn(u32) -> Vec<u8>,
        |id| packet(103, id, &string(&[0; 200])),
        |id| packet(103, id, &string(b"")),
        |id| packet(102, id, &string(b"h")),
    ] {
        let mut serve = file(vec![1; 100], 100, usize::MAX);
        let events = run(Sftp::get("/sd/a", Instant::now()), 4096, |asked| match asked {
            (5, id, _) => vec![bad(id)],
            asked => serve(asked),
        });
        assert_eq!(events.last(), Some(&Event::Failed(SftpError::Malformed)));
    }
}

#[test]
fn old_versions_are_refused_and_silence_has_an_end() {
    let events = run(Sftp::list("/sd", Instant::now()), 4096, |_| vec![packet(2, 2, &[])]);
    assert_eq!(events, [Event::Failed(SftpError::Version(2))]);
    let began = Instant::now();
    let mut sftp = Sftp::list("/sd", began);
    assert!(matches!(sftp.poll_output(began), Output::Transmit(_)));
    assert_eq!(sftp.poll_output(began), Output::Wait(Some(began + STALL_TIME)));
    sftp.handle(Input::Timeout, began + STALL_TIME / 2);
    assert_eq!(sftp.poll_output(began), Output::Wait(Some(began + STALL_TIME)));
    sftp.handle(Input::Timeout, began + STALL_TIME);
    assert_eq!(sftp.poll_output(began), Output::Event(Event::Failed(SftpError::Stalled)));
    assert_eq!(sftp.poll_output(began), Output::Wait(None));
}
