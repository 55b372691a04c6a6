use super::*;

const TV: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 9));

struct Opened {
    pages: Pages,
    key: String,
    session: String,
    now: Instant,
}

fn hello(key: Option<&str>) -> Hello {
    Hello { key: key.map(str::to_owned), formats: vec!["video/mp4".into()] }
}

fn opened() -> Opened {
    let (mut pages, now) = (Pages::new(BTreeMap::new()), Instant::now());
    let greeting = pages.hello(hello(None), None, TV, now).unwrap();
    assert_eq!(greeting.state, Standing::Code);
    assert_eq!(greeting.code.as_deref().map(str::len), Some(6));
    Opened { pages, key: greeting.key, session: greeting.session, now }
}

fn added() -> Opened {
    let mut one = opened();
    one.pages.set_added(&id_of(&one.key), true);
    one
}

impl Opened {
    fn wait(&self, after: u64) -> Wait {
        Wait { session: self.session.clone(), after }
    }
    fn say(&mut self, state: Option<State>, done: Vec<Done>) -> Told {
        let say = Say { session: self.session.clone(), done, state, leaving: false };
        self.pages.say(say, TV, self.now)
    }
    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.pages.poll_event()).collect()
    }
    fn device(&self) -> DeviceId {
        id_of(&self.key)
    }
}

fn at(position: f64) -> Option<State> {
    Some(State { playing: true, position, ..State::default() })
}

#[test]
fn a_page_that_is_not_added_is_told_its_code_and_no_order() {
    let mut one = opened();
    let device = one.device();
    assert_eq!(one.pages.order(&device, Order::Play, one.now), None);
    let wait = one.wait(0);
    one.pages.begin_wait(&wait, TV);
    assert_eq!(one.pages.look(&wait, TV), None);
    one.say(at(1.0), vec![]);
    assert_eq!(one.events(), [Event::Came(device.clone())]);
    one.pages.set_added(&device, true);
    assert_eq!(one.pages.look(&wait, TV), Some(Told::only(Standing::Ready)));
    assert_eq!(one.pages.look(&wait, TV), None);
}

#[test]
fn orders_come_until_they_are_taken_and_are_answered_once() {
    let mut one = added();
    let (device, until) = (one.device(), one.now + Duration::from_secs(5));
    let first = one.pages.order(&device, Order::Play, until).unwrap();
    let second = one.pages.order(&device, Order::Stop, until).unwrap();
    let orders = |told: Option<Told>| told.unwrap().orders.iter().map(|order| order.n).collect::<Vec<_>>();
    let wait = one.wait(0);
    assert_eq!(orders(one.pages.look(&wait, TV)), [first, second]);
    assert_eq!(orders(one.pages.look(&wait, TV)), [first, second], "an answer may be lost on its way");
    assert_eq!(orders(one.pages.look(&one.wait(first), TV)), [second]);
    one.events();
    let done = |n| Done { n, error: None, answer: None };
    one.say(None, vec![done(first), done(first), done(999)]);
    one.say(None, vec![Done { error: Some("no".into()), ..done(second) }]);
    let says = Err(Failed::Says("no".into()));
    assert_eq!(one.events(), [Event::Done(first, Ok(None)), Event::Done(second, says)]);
}

#[test]
fn a_page_that_says_nothing_is_mute_and_one_that_is_closed_is_gone() {
    let mut one = added();
    let (device, late) = (one.device(), one.now + Duration::from_secs(5));
    let n = one.pages.order(&device, Order::Play, late).unwrap();
    let wait = one.wait(0);
    one.pages.begin_wait(&wait, TV);
    one.events();
    one.pages.tick(late);
    assert_eq!(one.events(), [Event::Done(n, Err(Failed::Mute))]);
    // It waits, so it is here.
    one.pages.tick(late + Duration::from_secs(100));
    assert_eq!(one.events(), []);
    one.pages.end_wait(&one.session, TV, late);
    one.pages.tick(late + AWAY_AFTER / 2);
    assert_eq!(one.events(), []);
    one.pages.tick(late + AWAY_AFTER);
    assert_eq!(one.events(), [Event::Left(device)]);
}

#[test]
fn it_moves_when_its_position_advances_as_time_does() {
    let mut one = added();
    let device = one.device();
    for (seconds, position, moving) in
        [(0, 3.0, false), (1, 4.0, true), (1, 4.0, false), (1, 60.0, false), (1, 61.0, true), (1, 2.0, false)]
    {
        one.now += Duration::from_secs(seconds);
        one.say(at(position), vec![]);
        assert_eq!(one.pages.get(&device).unwrap().moving, moving, "{position}");
    }
}

#[test]
fn a_key_is_known_again_and_a_session_is_worth_nothing_elsewhere() {
    let mut one = added();
    let elsewhere = "192.168.1.10".parse().unwrap();
    assert_eq!(one.pages.added_by(&one.session, TV), Some(one.device()));
    assert_eq!(one.pages.added_by(&one.session, elsewhere), None);
    assert_eq!(one.pages.added_by(&one.key, TV), None);
    let again = one.pages.hello(hello(Some(&one.key)), None, TV, one.now).unwrap();
    assert_eq!((again.state, again.code), (Standing::Ready, None));
    // The page that was open before is told so, and nothing else.
    assert_eq!(one.pages.look(&one.wait(0), TV), Some(Told::only(Standing::Elsewhere)));
    one.pages.set_added(&one.device(), false);
    assert_eq!(one.pages.added_by(&again.session, TV), None);
}

#[test]
fn a_no_ends_what_was_ordered_and_changes_the_code() {
    let mut one = added();
    let device = one.device();
    let code = one.pages.get(&device).unwrap().code.clone();
    let n = one.pages.order(&device, Order::Play, one.now).unwrap();
    one.events();
    one.pages.set_added(&device, false);
    assert_eq!(one.events(), [Event::Done(n, Err(Failed::Closed))]);
    let told = one.pages.look(&one.wait(0), TV).unwrap();
    assert_eq!((told.state, told.orders.len()), (Standing::Code, 0));
    assert_ne!(told.code.unwrap(), code);
}

#[test]
fn an_open_screen_is_not_taken_over_from_another_address_by_whoever_read_its_key() {
    let mut one = added();
    let device = one.device();
    one.events();
    for last in [66, 67, 66] {
        let thief = IpAddr::from([192, 168, 1, last]);
        assert_eq!(one.pages.hello(hello(Some(&one.key)), None, thief, one.now), Err(Refused::Elsewhere));
    }
    assert_eq!(one.events(), [Event::Doubled(device.clone(), IpAddr::from([192, 168, 1, 66]))], "told once");
    assert!(one.pages.order(&device, Order::Play, one.now).is_some());
    assert_eq!(one.pages.look(&one.wait(0), TV).unwrap().orders.len(), 1);
}

#[test]
fn a_screen_at_another_address_shows_a_code_until_the_owner_confirms_it() {
    let (one, elsewhere) = (added(), IpAddr::from([192, 168, 1, 77]));
    let (mut pages, device) = (one.pages, id_of(&one.key));
    pages.leave(&device);
    let moved = pages.hello(hello(Some(&one.key)), None, elsewhere, one.now).unwrap();
    assert_eq!((moved.state, moved.code.is_some()), (Standing::Code, true));
    assert!(pages.get(&device).unwrap().moved);
    assert_eq!(pages.order(&device, Order::Play, one.now), None);
    assert_eq!(pages.added_by(&moved.session, elsewhere), None);
    // A wrong code is not the end of what was added.
    pages.renew(&device);
    let wait = Wait { session: moved.session.clone(), after: 0 };
    assert_ne!(pages.look(&wait, elsewhere).unwrap().code, moved.code);
    // The one that the owner knows comes back: whoever has its key gives way.
    let back = pages.hello(hello(Some(&one.key)), None, TV, one.now).unwrap();
    assert_eq!((back.state, pages.added_by(&moved.session, elsewhere)), (Standing::Ready, None));
    pages.leave(&device);
    let moved = pages.hello(hello(Some(&one.key)), None, elsewhere, one.now).unwrap();
    pages.set_added(&device, true);
    assert_eq!(pages.added_by(&moved.session, elsewhere), Some(device.clone()));
    pages.leave(&device);
    assert_eq!(pages.hello(hello(Some(&one.key)), None, elsewhere, one.now).unwrap().state, Standing::Ready);
}

#[test]
fn whoever_read_the_key_of_a_page_that_shows_a_code_does_not_get_its_code() {
    let mut one = opened();
    let code = one.pages.get(&one.device()).unwrap().code.clone();
    let other = one.pages.hello(hello(Some(&one.key)), None, IpAddr::from([192, 168, 1, 66]), one.now).unwrap();
    assert_ne!((&other.key, other.code.as_ref()), (&one.key, Some(&code)));
    assert_eq!(one.pages.get(&one.device()).unwrap().address, TV);
}

#[test]
fn opening_again_and_again_is_slowed_down_and_makes_no_heap_of_events() {
    let mut one = added();
    let stranger = IpAddr::from([10, 0, 0, 1]);
    let key = secret::token();
    let taken = (0..500).filter(|_| one.pages.hello(hello(Some(&key)), None, stranger, one.now).is_ok()).count();
    assert_eq!(taken, 4);
    assert_eq!(one.pages.hello(hello(None), None, stranger, one.now), Err(Refused::TooOften));
    // Others at its address do not keep an added one out.
    for _ in 0..20 {
        let _ = one.pages.hello(hello(None), None, TV, one.now);
        assert!(one.pages.hello(hello(Some(&one.key)), None, TV, one.now).is_ok());
    }
    // Nobody takes the events, and the flood goes on for long, from everywhere.
    for second in 0..100 {
        let now = one.now + Duration::from_secs(second);
        for last in 0..50 {
            let _ = one.pages.hello(hello(None), None, IpAddr::from([10, 0, 1, last]), now);
            let _ = one.pages.hello(hello(Some(&one.key)), None, TV, now);
        }
    }
    assert!(one.pages.events.len() <= MOST_EVENTS + 4, "{}", one.pages.events.len());
    assert_eq!(one.pages.hello(hello(None), None, stranger, one.now), Err(Refused::Full));
    one.events();
    assert!(one.pages.hello(hello(Some(&one.key)), None, TV, one.now).is_ok());
}

#[test]
fn a_flood_of_pages_finds_no_room_and_the_others_stay() {
    let mut one = added();
    for last in 0..200u8 {
        let address = IpAddr::from([10, 0, 0, last / 20]);
        let _ = one.pages.hello(hello(None), None, address, one.now);
    }
    assert!(one.pages.pages.len() <= MOST_WAITING + 1);
    assert!(one.pages.get(&one.device()).is_some());
    assert!(one.pages.hello(hello(Some(&one.key.clone())), None, TV, one.now).is_ok());
    let device = one.device();
    let until = one.now;
    assert_eq!((0..100).filter_map(|_| one.pages.order(&device, Order::Play, until)).count(), MOST_ORDERS);
}
