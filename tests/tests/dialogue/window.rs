//! The window that the host offers: backpressure, updates, no silly steps, no shrinking.

use crate::{BYTES, closed, drops, ms, over};
use synfin_engine::base::DropReason;
use synfin_engine::shard::{CloseReason, Report, ShardConfig};
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpOptions;
use synfin_tests::altered::urgent;
use synfin_tests::host::{Host, Told, plain_config, seg};

/// A host with a buffer of 4000 bytes whose application takes nothing yet; segments of 1000 bytes.
fn small_buffer(scale: Option<u8>) -> Host {
    let mut config: ShardConfig = plain_config();
    config.tcp.receive_buffer_bytes = 4000;
    let mut host = Host::server(config);
    host.shard.app_mut().appetite = 0;
    let options = TcpOptions { mss: Some(1000), window_scale: scale, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    assert_eq!(host.expect("S.", 300, 101).seg.window, 4000);
    host.send(seg(".", 101, 301));
    host
}

/// The peer fills the buffer with four segments.
fn filled() -> Host {
    let mut host = small_buffer(None);
    for i in 0..4 {
        host.send(seg(".", 101 + i as u32 * 1000, 301).data(&BYTES[i * 1000..(i + 1) * 1000]));
    }
    host.pass(ms(100));
    let last = host.out.pop_back().expect("an ACK");
    assert_eq!((last.seg.ack.0, last.seg.window), (4101, 0));
    host.out.clear();
    host
}

fn resume(host: &mut Host, appetite: usize) {
    host.shard.app_mut().appetite = appetite;
    host.act(|c| c.resume_receive());
}

#[test]
fn unread_bytes_close_the_window_and_its_edge_never_moves_left() {
    let mut host = small_buffer(None);
    let mut edge = 101 + 4000;
    for i in 0..4 {
        host.send(seg(".", 101 + i as u32 * 1000, 301).data(&BYTES[i * 1000..(i + 1) * 1000]));
        host.pass(ms(50));
        let ack = host.out.pop_back().expect("an ACK").seg;
        assert_eq!(ack.ack.0, 101 + (i as u32 + 1) * 1000);
        assert!(ack.ack.0 + u32::from(ack.window) >= edge);
        edge = ack.ack.0 + u32::from(ack.window);
    }
    assert_eq!(edge, 4101);
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 4101);
}

#[test]
fn edge_of_a_scaled_window_never_moves_left() {
    let mut config = plain_config();
    config.tcp.receive_buffer_bytes = 1 << 20;
    config.limits.held_frames = 512;
    let mut host = Host::server(config);
    host.shard.app_mut().appetite = 0;
    let options = TcpOptions { mss: Some(1000), window_scale: Some(0), ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    let scale = host.expect("S.", 300, 101).seg.options.window_scale.expect("scaling");
    assert_eq!(scale, 5);
    host.send(seg(".", 101, 301));
    let (mut next, mut edge) = (101, 101 + 65_535);
    for len in [1, 7, 31, 32, 33, 999, 1000, 513, 2, 3].into_iter().cycle().take(200) {
        host.send(seg(".", next, 301).data(&BYTES[..len]));
        next += len as u32;
        host.pass(ms(50));
        for sent in std::mem::take(&mut host.out) {
            let now = sent.seg.ack.0 + (u32::from(sent.seg.window) << scale);
            assert!(now >= edge, "the edge moved left by {}", edge - now);
            edge = now;
        }
    }
    over(&mut host, next);
}

#[test]
fn application_that_resumes_gets_the_rest_and_the_peer_a_window_update() {
    let mut host = filled();
    resume(&mut host, usize::MAX);
    let update = host.expect(".", 301, 4101);
    assert_eq!(update.seg.window, 4000);
    assert_eq!(host.shard.app().bytes(), &BYTES[..4000]);
    over(&mut host, 4101);
}

#[test]
fn window_opens_only_by_worthwhile_steps() {
    // RFC 9293 3.8.6.2.2: the smaller of half the buffer and a full segment; here 1000.
    let mut host = filled();
    resume(&mut host, 300);
    host.expect_nothing();
    resume(&mut host, 300);
    host.expect_nothing();
    resume(&mut host, 400);
    assert_eq!(host.expect(".", 301, 4101).seg.window, 1000);
    assert_eq!(host.shard.app().bytes(), &BYTES[..1000]);
    over(&mut host, 4101);
}

#[test]
fn probe_of_a_closed_window_is_answered_with_the_window() {
    let mut host = filled();
    host.send(seg(".", 4101, 301).data(*b"x"));
    assert_eq!(host.expect(".", 301, 4101).seg.window, 0);
    assert_eq!(drops(&host, DropReason::WindowExceeded), 1);
    resume(&mut host, 300);
    host.send(seg(".", 4101, 301).data(*b"x"));
    // 300 bytes are free, but no worthwhile step.
    assert_eq!(host.expect(".", 301, 4101).seg.window, 0);
    over(&mut host, 4101);
}

#[test]
fn ack_field_of_a_segment_beyond_a_closed_window_counts() {
    let mut host = filled();
    host.write(b"data");
    host.expect_data(301, 4101, b"data");
    host.send(seg(".", 4101, 305).data(*b"x"));
    host.act(|c| assert_eq!(c.queued_bytes(), 0));
    host.out.clear();
    over(&mut host, 4101);
}

#[test]
fn bytes_beyond_the_window_are_cut_off() {
    let mut host = small_buffer(None);
    host.shard.app_mut().appetite = usize::MAX;
    host.send(seg(".", 3101, 301).data(&BYTES[3000..4400]));
    assert_eq!(drops(&host, DropReason::WindowExceeded), 1);
    host.send(seg(".", 101, 301).data(&BYTES[..1400]));
    host.send(seg(".", 1501, 301).data(&BYTES[1400..2800]));
    host.send(seg(".", 2901, 301).data(&BYTES[2800..3000]));
    // The window was 4000 bytes: the last 400 of the first segment were beyond it.
    assert_eq!(host.shard.app().bytes(), &BYTES[..4000]);
    over(&mut host, 4101);
}

#[test]
fn fin_is_taken_although_the_window_is_closed() {
    let mut host = filled();
    host.send(seg("F.", 4101, 301));
    host.expect(".", 301, 4102);
    assert_eq!(host.state(), State::CloseWait);
    // Told only after the application took everything.
    assert_eq!(host.told(), [Told::Accepted]);
    resume(&mut host, usize::MAX);
    assert_eq!(host.shard.app().bytes(), &BYTES[..4000]);
    assert_eq!(host.told().last(), Some(&Told::PeerClosed));
    host.out.clear();
    host.act(|c| c.close());
    host.expect("F.", 301, 4102);
    host.send(seg(".", 4102, 302));
    assert_eq!(closed(&host), Some(CloseReason::Graceful));
    host.assert_clean();
}

#[test]
fn unread_bytes_outlive_both_fins() {
    // Both sides have closed; the bytes still belong to the application, and only then does the connection end.
    let mut host = filled();
    host.act(|c| c.shutdown());
    host.expect("F.", 301, 4101);
    host.send(seg("F.", 4101, 302));
    host.expect(".", 302, 4102);
    assert_eq!(closed(&host), None);
    resume(&mut host, usize::MAX);
    assert_eq!(host.shard.app().bytes(), &BYTES[..4000]);
    assert_eq!(host.told().last(), Some(&Told::Closed(CloseReason::Graceful)));
    assert_eq!(host.shard.live(), (0, 0, 1));
    host.pass(crate::seconds(61));
    host.assert_clean();
}

#[test]
fn application_may_take_parts_of_a_segment() {
    let mut host = small_buffer(None);
    host.shard.app_mut().appetite = 3;
    host.send(seg(".", 101, 301).data(*b"abcdefgh"));
    assert_eq!(host.shard.app().bytes(), b"abc");
    resume(&mut host, 2);
    assert_eq!(host.shard.app().bytes(), b"abcde");
    host.send(seg(".", 109, 301).data(*b"ijk"));
    resume(&mut host, usize::MAX);
    assert_eq!(host.shard.app().bytes(), b"abcdefghijk");
    host.send(seg(".", 112, 301).data(*b"l"));
    assert_eq!(host.shard.app().bytes(), b"abcdefghijkl");
    over(&mut host, 113);
}

#[test]
fn ack_at_the_right_edge_of_the_window_counts() {
    let mut host = Host::accepted(plain_config());
    host.write(b"some bytes");
    host.expect_data(301, 101, b"some bytes");
    // The peer has sent all that it may (65535 bytes), none of which has arrived; its ACK comes first.
    host.send(seg(".", 101 + 65_535, 311));
    host.expect_nothing();
    assert_eq!(host.shard.counters().dropped(DropReason::SeqOutOfWindow), 0);
    host.act(|c| c.abort());
    host.expect("R.", 311, 101);
    host.assert_clean();
}

#[test]
fn bytes_are_taken_up_to_the_edge_that_was_once_offered() {
    // RFC 7323 2.4: in the window is what was in the window of any ACK, whatever the application has left since.
    let mut host = small_buffer(None);
    host.send(seg(".", 101, 301).data(&BYTES[..1000]));
    host.pass(ms(50));
    host.send(seg(".", 3101, 301).data(&BYTES[3000..4000]));
    host.send(seg(".", 1101, 301).data(&BYTES[1000..2000]));
    host.send(seg(".", 2101, 301).data(&BYTES[2000..3000]));
    host.pass(ms(50));
    assert_eq!(host.out.pop_back().expect("an ACK").seg.ack.0, 4101);
    assert_eq!(drops(&host, DropReason::WindowExceeded), 0);
    resume(&mut host, usize::MAX);
    assert_eq!(host.shard.app().bytes(), &BYTES[..4000]);
    over(&mut host, 4101);
}

#[test]
fn reset_and_urgent_pointer_count_though_the_window_is_closed() {
    let mut host = filled();
    let frame = urgent(&mut host, &seg(".", 4101, 301).data(*b"x"), 1);
    host.send_raw(&frame);
    // What waits for the application lies before it.
    assert_eq!(host.reports(), [Report::Urgent { bytes: 4001 }]);
    assert_eq!(host.expect(".", 301, 4101).seg.window, 0);
    over(&mut host, 4101);
}
