//! The connection that is evicted, and the end of a connection whose client does not read its response.

use super::super::queue::{MIN_UNREAD, MIN_WAIT};
use super::super::socket::SocketProbe;
use super::*;

const UNREAD: &[u8] = b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The numbers of the connections that the other side has closed.
fn closed(streams: &[TcpStream]) -> Vec<usize> {
    (0..streams.len()).filter(|at| is_closed(&streams[*at])).collect()
}

/// Has the server answer a new sender.
async fn serve_another(address: SocketAddr) -> TcpStream {
    let mut fresh = send(address, REQUEST).await;
    exchange(&mut fresh, b"").await.unwrap();
    settle().await;
    fresh
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_responses_unread_make_room_after_a_few_seconds() {
    // The second request has come together with the first, or is there before the response is read.
    for pipelined in [&[][..], NEXT] {
        let (address, _stop, _server) = start(LIMITS).await;
        let began = Instant::now();
        let request = [UNREAD, pipelined].concat();
        let slow = fill(address, &[&request]).await;
        let _fresh = serve_another(address).await;
        let waited = began.elapsed();
        assert!(waited >= MIN_UNREAD, "a response that is being sent is cut: {waited:?}");
        assert!(waited < MIN_UNREAD + Duration::from_secs(1), "{waited:?}");
        drop(slow);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_disconnected_after_the_response_timeout() {
    let (address, _stop, _server) = start(LIMITS).await;
    let began = Instant::now();
    // The rest is not read by the server, which has the system tell that the connection is gone.
    let mut slow = send(address, UNREAD).await;
    let mut part = vec![0; 256 * 1024];
    loop {
        sleep(Duration::from_secs(1)).await;
        let is_gone = slow.write_all(b"G").await.is_err();
        if is_gone || slow.read(&mut part).await.is_ok_and(|read| read == 0) {
            break;
        }
        assert!(began.elapsed() < 2 * LIMITS.write_timeout, "it is still open");
    }
    assert!(began.elapsed() >= LIMITS.write_timeout, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_started_before_the_previous_response_is_sent() {
    let service = Waits::default();
    let queue = Arc::new(EvictionQueue::default());
    let closing = watch::Sender::new(false);
    // Hardly anything of a response fits.
    let (mut client, stream) = tokio::io::duplex(1024);
    let opened = Connection::new(&queue, LIMITS, SocketProbe::default());
    tokio::spawn(connection(stream, service.clone(), LIMITS, opened, closing.subscribe()));
    let wait = LIMITS.idle_timeout.as_secs() + 5;
    let requests = format!(
        "GET /medium HTTP/1.1\r\nhost: localhost\r\n\r\nGET /{wait} HTTP/1.1\r\nhost: localhost\r\n\r\n"
    );
    client.write_all(requests.as_bytes()).await.unwrap();
    settle().await;
    assert_eq!(service.0.load(Ordering::Relaxed), 1);
    // Then it is a request like any other, and may take its time.
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nok") {
        read.push(client.read_u8().await.unwrap());
    }
    assert!(read.len() > MEDIUM);
    assert_eq!(service.0.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_on_a_connection_that_was_idle_for_long_is_not_the_first_to_go() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut streams = Vec::new();
    for _ in 0..LIMITS.max_connections {
        let mut stream = send(address, b"").await;
        exchange(&mut stream, REQUEST).await.unwrap();
        streams.push(stream);
        sleep(Duration::from_secs(1)).await;
    }
    // Those that were idle for a shorter time begin earlier.
    for stream in streams.iter_mut().rev() {
        stream.write_all(INCOMPLETE[1]).await.unwrap();
        settle().await;
    }
    sleep(2 * MIN_WAIT).await;
    let _fresh = serve_another(address).await;
    assert_eq!(closed(&streams), [LIMITS.max_connections - 1]);
}

#[tokio::test(start_paused = true)]
async fn connections_that_sent_least_are_evicted_first_and_bodies_in_transfer_last() {
    let (address, _stop, _server) = start(ServerLimits { max_connections: 5, ..LIMITS }).await;
    let mut streams = Vec::new();
    for part in [INCOMPLETE[2], INCOMPLETE[2], UNREAD, INCOMPLETE[1], INCOMPLETE[0]] {
        streams.push(send(address, part).await);
        sleep(2 * MIN_WAIT).await;
    }
    sleep(MIN_UNREAD).await;
    // The first has waited longest, and proceeds.
    streams[0].write_all(b"d").await.unwrap();
    settle().await;
    let mut fresh = Vec::new();
    for gone in [4, 3, 1] {
        // It stays in use.
        let stream = send(address, NEXT).await;
        settle().await;
        fresh.push(stream);
        assert!(is_closed(&streams[gone]), "{gone}");
        if gone == 3 {
            // The connection that leaves its response unread is next; its received data can still be read.
            fresh.push(send(address, NEXT).await);
            settle().await;
            assert!(!is_closed(&streams[1]), "a body that does not proceed");
        }
    }
    assert!(!is_closed(&streams[0]));
    sleep(2 * MIN_WAIT).await;
    let _fresh = serve_another(address).await;
    assert!(is_closed(&streams[0]), "it does not proceed");
    assert!(!fresh.iter().any(is_closed), "a complete request");
    assert!(rest(streams.swap_remove(2)).await.len() < LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_next_request_that_begins_before_the_response_has_the_time_for_headers() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut stream = send(address, b"GET /3 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    sleep(Duration::from_secs(1)).await;
    stream.write_all(INCOMPLETE[1]).await.unwrap();
    exchange(&mut stream, b"").await.unwrap();
    let began = Instant::now();
    rest(stream).await;
    assert_eq!(began.elapsed().as_secs(), LIMITS.header_timeout.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_connection_makes_room_if_the_system_has_no_file_descriptor_left() {
    let queue = Arc::new(EvictionQueue::default());
    let new = || Connection::new(&queue, LIMITS, SocketProbe::default());
    let silent: Vec<_> = (0..3).map(|_| new()).collect();
    let is_evicted = |connection: &Connection| !connection.progress().on(Event::ResponseEnded);
    sleep(MIN_WAIT).await;
    // The client's own error costs no other connection.
    let mut errors = vec![io::ErrorKind::ConnectionAborted.into()];
    let accepted = accept(|| std::future::ready(errors.pop().map_or(Ok(()), Err)), &queue);
    accepted.await;
    assert!(!silent.iter().any(is_evicted));
    const EMFILE: i32 = 24;
    let began = Instant::now();
    let next = || {
        let free = silent.iter().filter(|connection| is_evicted(connection)).count();
        let error = io::Error::from_raw_os_error(EMFILE);
        std::future::ready(if free == 2 { Ok(()) } else { Err(error) })
    };
    timeout(Duration::from_secs(10), accept(next, &queue)).await.expect("none makes room");
    assert_eq!(silent.iter().map(is_evicted).collect::<Vec<_>>(), [true, true, false]);
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// The places are taken by one transfer that pauses, and by young connections that have sent nothing, or a part of the
/// headers.
#[tokio::test(start_paused = true)]
async fn a_transfer_is_not_cut_while_younger_connections_have_sent_less() {
    for transfer in [INCOMPLETE[2], UNREAD] {
        for young in [INCOMPLETE[0], INCOMPLETE[1]] {
            let (address, _stop, _server) = start(LIMITS).await;
            let mut streams = vec![send(address, transfer).await];
            sleep(2 * MIN_UNREAD).await;
            while streams.len() < LIMITS.max_connections {
                streams.push(send(address, young).await);
                settle().await;
            }
            let began = Instant::now();
            let _fresh = serve_another(address).await;
            assert!(began.elapsed() <= 2 * MIN_WAIT, "{:?}", began.elapsed());
            assert!(!is_cut(&mut streams[0], transfer).await, "the transfer is cut");
            assert_eq!(closed(&streams[1..]), [0], "the oldest of the others makes room");
        }
    }
}

/// Whether a transfer does not go on to its end.
async fn is_cut(stream: &mut TcpStream, request: &[u8]) -> bool {
    if request != UNREAD {
        return exchange(stream, b"defghi").await.is_err();
    }
    let mut part = vec![0; 1024 * 1024];
    let mut all = 0;
    while all < LARGE {
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => all += read,
            _ => return true,
        }
    }
    false
}

/// Clients that send requests one after the other are never idle for long: they do not keep a new sender out.
#[tokio::test(start_paused = true)]
async fn connections_that_become_idle_again_do_not_delay_a_new_client() {
    let queue = Arc::new(EvictionQueue::default());
    let new = || Connection::new(&queue, LIMITS, SocketProbe::default());
    let (body, busy) = (new(), new());
    body.progress().on(Event::HeadersComplete);
    sleep(MIN_WAIT).await;
    let use_it = || {
        for event in [
            Event::BytesArrived,
            Event::HeadersComplete,
            Event::RequestComplete,
            Event::ResponseEnded,
            Event::Flushed,
        ] {
            assert!(busy.progress().on(event), "{event:?}");
        }
    };
    use_it();
    let waiting_since = Instant::now();
    assert_eq!(queue.evict(waiting_since), Eviction::At(waiting_since + MIN_WAIT));
    sleep(MIN_WAIT - Duration::from_millis(1)).await;
    use_it();
    assert_eq!(queue.evict(waiting_since), Eviction::At(waiting_since + MIN_WAIT));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(queue.evict(waiting_since), Eviction::Done);
    assert!(!body.progress().on(Event::BytesArrived) && busy.progress().on(Event::BytesArrived));
}

/// A worker that a handler blocks does not read.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_bytes_wait_in_the_socket_is_not_silent() {
    for stage in [&[][..], &[Event::BytesArrived], &[Event::BytesArrived, Event::HeadersComplete]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = send(listener.local_addr().unwrap(), b"").await;
        let mut socket = Socket::new(listener.accept().await.unwrap().0);
        let queue = Arc::new(EvictionQueue::default());
        let opened = Connection::new(&queue, LIMITS, socket.probe());
        for event in stage {
            opened.progress().on(*event);
        }
        client.write_all(b"next").await.unwrap();
        sleep(2 * MIN_WAIT).await;
        let now = Instant::now();
        for (waited, at) in
            [(Duration::ZERO, MIN_WAIT), (MIN_WAIT / 2, MIN_WAIT / 2), (MIN_WAIT, MIN_WAIT)]
        {
            assert_eq!(queue.evict(now - waited), Eviction::At(now + at), "{stage:?}");
        }
        // A silent connection is evicted in its place, although it sent more.
        let silent = Connection::new(&queue, LIMITS, SocketProbe::default());
        silent.progress().on(Event::HeadersComplete);
        sleep(MIN_WAIT).await;
        assert_eq!(queue.evict(Instant::now() - MIN_WAIT), Eviction::Done);
        assert!(!silent.progress().on(Event::BytesArrived));
        // Nothing waits after the bytes were read, nor at the end of the stream.
        socket.read_exact(&mut [0; 4]).await.unwrap();
        drop(client);
        assert_eq!(queue.evict(now), Eviction::Done, "{stage:?}");
    }
}

/// Data that a client sends while it leaves a response unread does not delay its eviction.
#[tokio::test(start_paused = true)]
async fn bytes_of_a_client_that_does_not_read_its_response_gain_no_time() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut slow = fill(address, &[UNREAD]).await;
    for stream in &mut slow {
        // More than the server reads beside a response.
        let _ = stream.try_write(&vec![b'x'; 4 * MAX_BUFFER]);
    }
    sleep(MIN_UNREAD).await;
    let began = Instant::now();
    let _fresh = serve_another(address).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
