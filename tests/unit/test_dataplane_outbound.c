/*
 * SNAT and EIP: sessions that inside hosts open, and those towards an EIP.
 * Inside hosts stand where the fixture's backends do, remotes where its clients
 * do. Checksums are verified over whole packets by the fixture.
 */
#include "host/dataplane/cluster_view.h"
#include "host/dataplane/sync_record.h"
#include "tests/unit/dataplane_fixture.h"

#include <unistd.h>

#define FIRST_PORT 2000
#define PORTS 8 /* a range small enough to exhaust */
#define ECHO 8
#define ECHO_REPLY 0
#define ECHO6 128
#define ECHO6_REPLY 129

enum { SNAT, EIP, EIP2, SERVICES };

static struct fixture f;
static struct slu_outbound services[SERVICES];
static struct slu_prefix sources[1], node[1];
static struct slu_ip addresses[1];
static const struct slu_listener *by_live[LISTENER_COUNT + SERVICES];

static struct slu_ip pick(const char *v4, const char *v6)
{
	return fixture_ip(f.family == 4 ? v4 : v6);
}

static struct slu_ip snat_address(void)
{
	return pick("198.18.1.150", "fd00:1::150");
}

static struct slu_ip eip_address(void)
{
	return pick("198.18.1.160", "fd00:1::160");
}

static struct slu_ip eip2_address(void)
{
	return pick("198.18.1.161", "fd00:1::161");
}

static void add_services(void)
{
	const uint8_t bits = f.family == 4 ? 24 : 64;

	memset(services, 0, sizeof(services));
	for (uint32_t i = 0; i < SERVICES; i++) {
		services[i].service = (struct slu_listener){.id = 700 + i,
			.live = LISTENER_COUNT + i,
			.mode = i == SNAT ? SLU_MODE_SNAT : SLU_MODE_EIP,
			.offload = true,
			.offload_threshold_packets = 3,
			.timeouts = f.listeners[0].timeouts};
		by_live[LISTENER_COUNT + i] = &services[i].service;
	}
	memcpy(by_live, f.listener_by_live, sizeof(f.listener_by_live));
	sources[0] = (struct slu_prefix){pick("198.18.2.0", "fd00:2::"), bits};
	addresses[0] = snat_address();
	services[SNAT].sources = sources;
	services[SNAT].source_count = 1;
	services[SNAT].addresses[f.family == 6] = addresses;
	services[SNAT].address_count[f.family == 6] = services[SNAT].own_count[f.family == 6] = 1;
	services[SNAT].port_first = FIRST_PORT;
	services[SNAT].port_last = FIRST_PORT + PORTS - 1;
	services[EIP].service.address = eip_address();
	services[EIP].private_ip = fixture_backend(&f, 0);
	services[EIP2].service.address = eip2_address();
	services[EIP2].private_ip = fixture_backend(&f, 3);
	for (uint32_t i = EIP; i <= EIP2; i++) {
		services[i].addresses[f.family == 6] = &services[i].service.address;
		services[i].address_count[f.family == 6] = services[i].own_count[f.family == 6] = 1;
	}
	node[0] = (struct slu_prefix){pick("198.18.2.1", "fd00:2::1"), bits};
	f.generation.outbound = services;
	f.generation.outbound_count = SERVICES;
	f.generation.node = node;
	f.generation.node_count = 1;
	f.generation.listener_by_live = by_live;
	f.generation.listener_live_limit = LISTENER_COUNT + SERVICES;
	fixture_publish(&f);
}

static int setup4(void **state)
{
	(void)state;
	fixture_create(&f, 4, 1, NULL);
	add_services();
	return 0;
}

static int setup6(void **state)
{
	(void)state;
	fixture_create(&f, 6, 1, NULL);
	add_services();
	return 0;
}

static int workers4(void **state)
{
	(void)state;
	fixture_create(&f, 4, 3, NULL);
	add_services();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

/* A packet of an inside host (0: has EIP, 3: has EIP2) to a remote. */
static struct flow outgoing(unsigned int host, unsigned int remote, uint8_t protocol, uint8_t flags)
{
	return (struct flow){.src = fixture_backend(&f, host),
		.dst = fixture_client(&f, remote),
		.sport = 50000,
		.dport = 443,
		.protocol = protocol,
		.flags = flags,
		.payload = protocol == 6 ? 0 : 32,
		.seq = 77};
}

static struct flow ping(unsigned int host, unsigned int remote)
{
	return outgoing(host, remote, f.family == 4 ? 1 : 58, f.family == 4 ? ECHO : ECHO6);
}

static uint8_t echo_reply(void)
{
	return f.family == 4 ? ECHO_REPLY : ECHO6_REPLY;
}

static struct slu_session_snapshot only_session(void)
{
	struct slu_session_snapshot s[2];
	uint64_t cursor = 0;

	assert_int_equal(slu_dataplane_sessions(f.dp, &cursor, s, 2), 1);
	return s[0];
}

/* What a packet carries is what it carried, and nothing but addresses, ports, TTL and checksums is new. */
static void assert_translated(
	const struct seen *s, uint16_t port, const struct slu_ip *src, const struct slu_ip *dst, const struct flow *was)
{
	const uint8_t *payload;

	assert_true(s->sent);
	assert_int_equal(s->port, port);
	assert_true(s->checksums_right);
	fixture_assert_ip(&s->flow.src, src);
	fixture_assert_ip(&s->flow.dst, dst);
	assert_int_equal(s->flow.protocol, was->protocol);
	assert_int_equal(s->flow.flags, was->flags);
	assert_int_equal(s->flow.seq, was->protocol == 17 ? 0 : was->seq);
	assert_int_equal(s->flow.ttl, 63);
	assert_int_equal(s->flow.payload, was->payload);
	payload = rte_pktmbuf_mtod(s->mbuf, const uint8_t *) + s->mbuf->data_len - was->payload;
	for (unsigned int i = 0; i < was->payload; i++)
		assert_int_equal(payload[i], (uint8_t)(i * 7 + was->sport));
}

static void snat__both_ways_of(uint8_t protocol)
{
	struct flow out = outgoing(1, 0, protocol, protocol == 6 ? SYN : 0), back;
	struct slu_ip public = snat_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 1);
	struct seen s = fixture_send(&f, BACKEND_PORT, &out);
	struct slu_session_snapshot session;

	assert_translated(&s, CLIENT_PORT, &public, &remote, &out);
	assert_in_range(s.flow.sport, FIRST_PORT, FIRST_PORT + PORTS - 1);
	assert_int_equal(s.flow.dport, 443);
	back = fixture_reply(&s.flow, protocol == 6 ? SYN | ACK : 0);
	s = fixture_send(&f, CLIENT_PORT, &back);
	assert_translated(&s, BACKEND_PORT, &remote, &host, &back);
	assert_int_equal(s.flow.sport, 443);
	assert_int_equal(s.flow.dport, 50000);
	session = only_session();
	assert_int_equal(session.mode, SLU_MODE_SNAT);
	assert_int_equal(session.listener_id, 700);
	assert_int_equal(session.packets[SLU_DIR_REQUEST], 1);
	assert_int_equal(session.packets[SLU_DIR_REPLY], 1);
	fixture_assert_ip(&session.client, &host);
	fixture_assert_ip(&session.local, &public);
	fixture_assert_ip(&session.virtual_ip, &remote);
	fixture_assert_ip(&session.backend, &remote);
}

static void snat__tcp__is_translated_both_ways(void **state)
{
	(void)state;
	snat__both_ways_of(6);
}

static void snat__udp__is_translated_both_ways(void **state)
{
	(void)state;
	snat__both_ways_of(17);
}

static void snat__ping__gets_an_identifier_of_its_own_and_its_answer(void **state)
{
	struct flow out = ping(1, 0), back;
	struct slu_ip public = snat_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 1);
	struct seen s = fixture_send(&f, BACKEND_PORT, &out);

	(void)state;
	assert_translated(&s, CLIENT_PORT, &public, &remote, &out);
	assert_in_range(s.flow.sport, FIRST_PORT, FIRST_PORT + PORTS - 1);
	back = s.flow;
	back.src = remote;
	back.dst = public;
	back.flags = echo_reply();
	back.ttl = 64;
	s = fixture_send(&f, CLIENT_PORT, &back);
	assert_translated(&s, BACKEND_PORT, &remote, &host, &back);
	assert_int_equal(s.flow.sport, 50000);
	assert_string_equal(slu_session_state_name(only_session().protocol, only_session().state), "ICMP");
	assert_int_equal(only_session().timeout_ms, 60000);
}

static void snat__tcp_states__follow_the_connection(void **state)
{
	struct flow out = outgoing(1, 0, 6, SYN), back;
	struct seen s = fixture_send(&f, BACKEND_PORT, &out);

	(void)state;
	assert_int_equal(only_session().state, SLU_TCP_SYN_RECV);
	back = fixture_reply(&s.flow, SYN | ACK);
	fixture_send(&f, CLIENT_PORT, &back);
	out.flags = ACK;
	fixture_send(&f, BACKEND_PORT, &out);
	assert_int_equal(only_session().state, SLU_TCP_ESTABLISHED);
	out.flags = FIN | ACK;
	fixture_send(&f, BACKEND_PORT, &out);
	assert_int_equal(only_session().state, SLU_TCP_CLOSE_WAIT);
	back.flags = FIN | ACK;
	fixture_send(&f, CLIENT_PORT, &back);
	assert_int_equal(only_session().state, SLU_TCP_TIME_WAIT);
	fixture_advance(&f, 125000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
}

static void snat__repeated_syn__keeps_its_public_port(void **state)
{
	struct flow out = outgoing(1, 0, 6, SYN);
	uint16_t port = fixture_send(&f, BACKEND_PORT, &out).flow.sport;

	(void)state;
	assert_int_equal(fixture_send(&f, BACKEND_PORT, &out).flow.sport, port);
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
}

static void snat__ports_used_up__is_a_counted_drop_and_other_remotes_still_work(void **state)
{
	struct flow out = outgoing(1, 0, 6, SYN);
	bool seen[PORTS] = {false};
	struct seen s;

	(void)state;
	for (unsigned int i = 0; i < PORTS; i++) {
		out.sport = (uint16_t)(50000 + i);
		s = fixture_send(&f, BACKEND_PORT, &out);
		assert_true(s.sent);
		assert_false(seen[s.flow.sport - FIRST_PORT]);
		seen[s.flow.sport - FIRST_PORT] = true;
	}
	out.sport = 60000;
	assert_false(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_PUBLIC_PORT), 1);
	assert_int_equal(slu_dataplane_session_count(f.dp), PORTS);
	out.dst = fixture_client(&f, 1);
	assert_true(fixture_send(&f, BACKEND_PORT, &out).sent);
	fixture_advance(&f, 61000000);
	out.dst = fixture_client(&f, 0);
	assert_true(fixture_send(&f, BACKEND_PORT, &out).sent);
}

static void snat__no_address_of_the_family__is_a_counted_drop(void **state)
{
	struct flow out = outgoing(1, 0, 6, SYN);

	(void)state;
	services[SNAT].own_count[f.family == 6] = 0;
	assert_false(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_PUBLIC_ADDRESS), 1);
}

static void snat__udp_port__is_the_same_towards_every_remote(void **state)
{
	struct flow out = outgoing(1, 0, 17, 0);
	uint16_t port = fixture_send(&f, BACKEND_PORT, &out).flow.sport;

	(void)state;
	for (unsigned int remote = 1; remote < 20; remote++) {
		out.dst = fixture_client(&f, remote);
		out.dport = (uint16_t)(1000 + remote);
		assert_int_equal(fixture_send(&f, BACKEND_PORT, &out).flow.sport, port);
	}
}

static void snat__stranger_at_the_public_address__is_dropped_and_counted(void **state)
{
	struct flow in = outgoing(1, 0, 6, SYN);
	struct seen s;

	(void)state;
	in.src = fixture_client(&f, 0);
	in.dst = snat_address();
	in.dport = FIRST_PORT;
	s = fixture_send(&f, CLIENT_PORT, &in);
	assert_false(s.sent || s.exception);
	in.protocol = 17;
	s = fixture_send(&f, CLIENT_PORT, &in);
	assert_false(s.sent || s.exception);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_SNAT_NO_SESSION), 2);
}

static void snat__ping_of_the_public_address__is_the_nodes(void **state)
{
	struct flow in = ping(1, 0);

	(void)state;
	in.src = fixture_client(&f, 0);
	in.dst = snat_address();
	assert_true(fixture_send(&f, CLIENT_PORT, &in).exception);
}

static void inside_hosts__among_themselves_and_to_the_node__are_the_kernels(void **state)
{
	struct flow out = outgoing(1, 0, 6, SYN);
	const struct slu_ip not_outside[] = {fixture_backend(&f, 2), node[0].ip, pick("198.18.2.255", "ff02::1"),
		pick("255.255.255.255", "fe80::1"), pick("224.0.0.5", "ff02::5"), fixture_backend(&f, 0)};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(not_outside); i++) {
		out.dst = not_outside[i];
		assert_true(fixture_send(&f, BACKEND_PORT, &out).exception);
	}
	out.src = pick("198.18.3.1", "fd00:3::1");
	out.dst = fixture_client(&f, 0);
	assert_true(fixture_send(&f, BACKEND_PORT, &out).exception);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
}

static void inside_host__segment_without_a_session__is_answered_with_a_reset(void **state)
{
	struct flow out = outgoing(1, 0, 6, ACK);
	struct seen s = fixture_send(&f, BACKEND_PORT, &out);

	(void)state;
	assert_true(s.sent);
	assert_int_equal(s.port, BACKEND_PORT);
	assert_true(s.flow.flags & RST);
	slu_dataplane_quiet_until(f.dp, f.now_us + 3000000);
	assert_false(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_QUIET), 1);
}

static void inside_host__calling_a_listener__is_balanced(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct seen s;

	(void)state;
	syn.src = fixture_backend(&f, 1);
	s = fixture_send(&f, BACKEND_PORT, &syn);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.dport, 8080);
	assert_int_equal(only_session().mode, SLU_MODE_FULLNAT);
}

static void eip__out__keeps_its_port_under_the_public_address(void **state)
{
	static const uint8_t protocols[] = {6, 17};
	struct slu_ip public = eip_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 0);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct flow out = outgoing(0, 0, protocols[i], protocols[i] == 6 ? SYN : 0), back;
		struct seen s = fixture_send(&f, BACKEND_PORT, &out);

		assert_translated(&s, CLIENT_PORT, &public, &remote, &out);
		assert_int_equal(s.flow.sport, 50000);
		back = fixture_reply(&s.flow, protocols[i] == 6 ? SYN | ACK : 0);
		s = fixture_send(&f, CLIENT_PORT, &back);
		assert_translated(&s, BACKEND_PORT, &remote, &host, &back);
		assert_int_equal(s.flow.dport, 50000);
	}
}

static void eip__in__reaches_the_private_host_with_the_clients_address(void **state)
{
	struct slu_ip public = eip_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 0);
	struct flow in = {.src = remote, .dst = public, .sport = 41000, .dport = 22, .protocol = 6, .flags = SYN}, back;
	struct seen s = fixture_send(&f, CLIENT_PORT, &in);

	(void)state;
	assert_translated(&s, BACKEND_PORT, &remote, &host, &in);
	assert_int_equal(s.flow.sport, 41000);
	assert_int_equal(s.flow.dport, 22);
	back = fixture_reply(&s.flow, SYN | ACK);
	s = fixture_send(&f, BACKEND_PORT, &back);
	assert_translated(&s, CLIENT_PORT, &public, &remote, &back);
	assert_int_equal(s.flow.sport, 22);
	assert_int_equal(s.flow.dport, 41000);
	assert_int_equal(only_session().mode, SLU_MODE_EIP);
	assert_int_equal(only_session().listener_id, 701);
}

static void eip__ping__works_in_both_directions(void **state)
{
	struct slu_ip public = eip_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 0);
	struct flow out = ping(0, 0), in = ping(0, 0), back;
	struct seen s = fixture_send(&f, BACKEND_PORT, &out);

	(void)state;
	assert_translated(&s, CLIENT_PORT, &public, &remote, &out);
	assert_int_equal(s.flow.sport, 50000);
	in.src = remote;
	in.dst = public;
	in.sport = 1234;
	s = fixture_send(&f, CLIENT_PORT, &in);
	assert_translated(&s, BACKEND_PORT, &remote, &host, &in);
	back = s.flow;
	back.src = host;
	back.dst = remote;
	back.flags = echo_reply();
	back.ttl = 64;
	s = fixture_send(&f, BACKEND_PORT, &back);
	assert_translated(&s, CLIENT_PORT, &public, &remote, &back);
	assert_int_equal(s.flow.sport, 1234);
	assert_int_equal(slu_dataplane_session_count(f.dp), 2);
}

/* RFC 4787, REQ-9: the called one sees the caller's public address, so that its answer comes back here. */
static void eip__called_from_inside__sees_the_callers_public_address(void **state)
{
	struct slu_ip called = eip_address(), host = fixture_backend(&f, 0), caller;
	struct flow in = {.dst = called, .sport = 41000, .dport = 22, .protocol = 6, .flags = SYN}, back;
	struct seen s;

	(void)state;
	for (unsigned int from = 1; from <= 3; from += 2) {
		caller = from == 1 ? snat_address() : eip2_address();
		in.src = fixture_backend(&f, from);
		s = fixture_send(&f, BACKEND_PORT, &in);
		assert_translated(&s, BACKEND_PORT, &caller, &host, &in);
		back = fixture_reply(&s.flow, SYN | ACK);
		s = fixture_send(&f, BACKEND_PORT, &back);
		assert_translated(&s, BACKEND_PORT, &called, &in.src, &back);
		assert_int_equal(s.flow.dport, 41000);
	}
}

static void longest_prefix__rules(void **state)
{
	struct flow out = outgoing(1, 0, 17, 0);
	struct slu_prefix one = {fixture_backend(&f, 1), f.family == 4 ? 32 : 128};
	struct slu_ip other = pick("198.18.1.151", "fd00:1::151");
	struct seen s;

	(void)state;
	/* The second EIP becomes a SNAT of one host within the first SNAT's prefix. */
	services[EIP2].service.mode = SLU_MODE_SNAT;
	services[EIP2].sources = &one;
	services[EIP2].source_count = 1;
	services[EIP2].addresses[f.family == 6] = &other;
	services[EIP2].address_count[f.family == 6] = services[EIP2].own_count[f.family == 6] = 1;
	services[EIP2].port_first = services[EIP2].port_last = 7777;
	fixture_publish(&f);
	s = fixture_send(&f, BACKEND_PORT, &out);
	fixture_assert_ip(&s.flow.src, &other);
	assert_int_equal(s.flow.sport, 7777);
	out.src = fixture_backend(&f, 2);
	s = fixture_send(&f, BACKEND_PORT, &out);
	fixture_assert_ip(&s.flow.src, &addresses[0]);
}

static void icmp_error__from_a_router_outside__reaches_the_inside_host_from_that_router(void **state)
{
	struct slu_ip router = pick("203.0.113.9", "2001:db8::9"), host = fixture_backend(&f, 1);
	struct flow out = outgoing(1, 0, 17, 0), pinged = ping(1, 1);
	const struct flow *flows[] = {&out, &pinged};
	unsigned int header = f.family == 4 ? 20 : 40;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct seen s = fixture_send(&f, BACKEND_PORT, flows[i]), in;
		struct flow sent = s.flow;

		s = fixture_give(&f, CLIENT_PORT, fixture_too_big(&f, &router, fixture_packet(&sent), header + 8 + 32));
		assert_true(s.sent && s.checksums_right);
		assert_int_equal(s.port, BACKEND_PORT);
		fixture_assert_ip(&s.flow.src, &router);
		fixture_assert_ip(&s.flow.dst, &host);
		in = fixture_inside(&f, &s);
		assert_true(in.checksums_right);
		fixture_assert_ip(&in.flow.src, &host);
		fixture_assert_ip(&in.flow.dst, &flows[i]->dst);
		assert_int_equal(in.flow.sport, 50000);
		rte_pktmbuf_free(in.mbuf);
	}
}

static void icmp_error__from_a_router_inside__leaves_with_the_public_address(void **state)
{
	struct slu_ip router = fixture_backend(&f, 2), public = snat_address(), remote = fixture_client(&f, 0);
	struct flow out = outgoing(1, 0, 17, 0), back;
	struct seen s = fixture_send(&f, BACKEND_PORT, &out), in;
	unsigned int header = f.family == 4 ? 20 : 40;
	struct flow sent = s.flow;

	(void)state;
	back = fixture_reply(&sent, 0);
	s = fixture_send(&f, CLIENT_PORT, &back);
	back = s.flow;
	s = fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, fixture_packet(&back), header + 8 + 32));
	assert_true(s.sent && s.checksums_right);
	fixture_assert_ip(&s.flow.src, &public);
	fixture_assert_ip(&s.flow.dst, &remote);
	in = fixture_inside(&f, &s);
	assert_true(in.checksums_right);
	fixture_assert_ip(&in.flow.dst, &public);
	assert_int_equal(in.flow.dport, sent.sport);
	rte_pktmbuf_free(in.mbuf);
}

static void fragments__of_an_inside_host__follow_their_first(void **state)
{
	struct flow out = outgoing(1, 0, 17, 0);
	struct slu_ip public = snat_address();
	struct seen s;

	(void)state;
	out.id = 99;
	out.fragment = 0x2000;
	s = fixture_send(&f, BACKEND_PORT, &out);
	assert_true(s.sent);
	fixture_assert_ip(&s.flow.src, &public);
	out.fragment = 5;
	s = fixture_send(&f, BACKEND_PORT, &out);
	assert_true(s.sent);
	fixture_assert_ip(&s.flow.src, &public);
	out.id = 100;
	assert_false(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_FRAGMENT_FIRST), 1);
}

static void bad_sources__open_nothing(void **state)
{
	struct flow in = {.dst = eip_address(), .sport = 1, .dport = 2, .protocol = 17};

	(void)state;
	in.src = pick("224.0.0.1", "ff02::1");
	assert_false(fixture_send(&f, CLIENT_PORT, &in).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_BAD_ADDRESS), 1);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
}

static void table_full__is_a_counted_drop(void **state)
{
	struct flow in = {.src = fixture_client(&f, 0), .dst = eip_address(), .dport = 2, .protocol = 17};

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		in.sport = (uint16_t)(1000 + i);
		fixture_send(&f, CLIENT_PORT, &in);
	}
	assert_int_equal(slu_dataplane_session_count(f.dp), 4096);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_TABLE_FULL), 5000 - 4096);
}

/* Gives a packet to a worker and lets all of them work until something comes out. */
static struct seen send_to(uint32_t worker, uint16_t in_port, const struct flow *flow)
{
	struct rte_mbuf *m = fixture_packet(flow);

	slu_worker_burst(f.dp->worker[worker], in_port, &m, 1);
	for (unsigned int turn = 0; turn < 8; turn++)
		for (uint32_t i = 0; i < f.dp->workers; i++) {
			struct seen s = fixture_collect(&f, f.dp->worker[i]);

			if (s.sent || s.exception)
				return s;
			slu_worker_poll(f.dp->worker[i]);
		}
	return (struct seen){0};
}

/* Every pair of workers that a flow's two directions may land on. */
static void several_workers__directions_meet_wherever_they_land(void **state)
{
	struct slu_ip snat = snat_address(), called = eip_address(), caller = eip2_address();

	(void)state;
	services[SNAT].port_last = FIRST_PORT + 999;
	for (unsigned int n = 0; n < 9; n++) {
		static const uint8_t protocols[] = {6, 17, 1};

		for (size_t i = 0; i < 3; i++) {
			for (unsigned int host = 0; host < 2; host++) {
				struct flow out = protocols[i] == 1 ? ping(host, n)
								    : outgoing(host, n, protocols[i], i ? 0 : SYN);
				struct seen s = send_to(n / 3, BACKEND_PORT, &out);
				struct flow back = fixture_reply(&s.flow, i ? 0 : SYN | ACK);

				assert_true(s.sent && s.checksums_right);
				fixture_assert_ip(&s.flow.src, host ? &snat : &called);
				if (i == 2)
					back.sport = s.flow.sport;
				s = send_to(n % 3, CLIENT_PORT, &back);
				assert_true(s.sent && s.checksums_right);
				fixture_assert_ip(&s.flow.dst, &out.src);
				/* As FULLNAT's clients, TCP's inside hosts stay where their hash puts them. */
				s = send_to(i == 0 && host ? n / 3 : (n + 1) % 3, BACKEND_PORT, &out);
				assert_true(s.sent);
			}
		}
	}
	assert_int_equal(slu_dataplane_session_count(f.dp), 9 * 6);
	for (unsigned int n = 0; n < 9; n++) {
		struct flow in = {.src = fixture_backend(&f, 3),
			.dst = called,
			.sport = (uint16_t)(900 + n),
			.dport = 22,
			.protocol = 6,
			.flags = SYN};
		struct seen s = send_to(n / 3, BACKEND_PORT, &in);
		struct flow back = fixture_reply(&s.flow, SYN | ACK);

		assert_true(s.sent);
		fixture_assert_ip(&s.flow.src, &caller);
		s = send_to(n % 3, BACKEND_PORT, &back);
		assert_true(s.sent);
		fixture_assert_ip(&s.flow.src, &called);
		fixture_assert_ip(&s.flow.dst, &in.src);
	}
	assert_int_equal(slu_dataplane_session_count(f.dp), 9 * 7);
}

static void several_workers__udp_port__is_the_same_wherever_packets_land(void **state)
{
	struct flow out = outgoing(1, 0, 17, 0);
	uint16_t port;

	(void)state;
	services[SNAT].port_last = FIRST_PORT + 999;
	port = send_to(0, BACKEND_PORT, &out).flow.sport;
	for (unsigned int n = 1; n < 9; n++) {
		out.dst = fixture_client(&f, n);
		assert_int_equal(send_to(n % 3, BACKEND_PORT, &out).flow.sport, port);
	}
}

static void sessions__of_a_dead_process__are_taken_over(void **state)
{
	char file[] = "/tmp/outbound_sessions_XXXXXX";
	int fd = mkstemp(file);
	struct flow out, back;
	struct seen s;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(file);
	fixture_create(&f, 4, 1, file);
	add_services();
	out = outgoing(1, 0, 17, 0);
	s = fixture_send(&f, BACKEND_PORT, &out);
	back = fixture_reply(&s.flow, 0);
	fixture_destroy(&f);
	fixture_create(&f, 4, 1, file);
	add_services();
	assert_int_equal(only_session().mode, SLU_MODE_SNAT);
	s = fixture_send(&f, CLIENT_PORT, &back);
	assert_true(s.sent && s.checksums_right);
	fixture_assert_ip(&s.flow.dst, &out.src);
	fixture_destroy(&f);
	unlink(file);
}

/* ------------------------------------------------------------------ a cluster */

static const struct slu_sync_settings sync_settings = {
	.trigger = SLU_SYNC_AFTER_DATA, .threshold = 1, .outbox = 64, .inbox = 64};
static struct slu_cluster_view views[2];

/* Node 1 or 2 of a cluster; the public addresses are all in node 1's home prefix. */
static void join_cluster(struct fixture *node, uint8_t self)
{
	struct slu_cluster_view *v = &views[self - 1];

	*v = (struct slu_cluster_view){.self = self, .nat_owner = 1, .member_count = 2, .prefix_count = 1};
	v->prefix[0] = (struct slu_cluster_prefix){.address = pick("198.18.1.128", "fd00:1::"),
		.bits = node->family == 4 ? 25 : 64,
		.home = 1,
		.owner = 1};
	assert_int_equal(slu_dataplane_set_sync(node->dp, &sync_settings), 0);
	assert_null(slu_dataplane_publish_cluster(node->dp, v));
	fixture_publish(node);
}

/* What the fixture's node tells is given to another. Returns the last record. */
static struct slu_sync_record tell(struct fixture *to)
{
	struct slu_sync_record records[8];
	uint32_t count = slu_sync_take(f.dp, records, 8);

	assert_in_range(count, 1, 8);
	assert_int_equal(slu_sync_give(to->dp, records, count), count);
	slu_worker_poll(to->w);
	return records[count - 1];
}

static void cluster__sessions__are_forwarded_by_a_node_that_did_not_make_them_of(uint8_t family)
{
	struct fixture other;
	struct flow out, in, back;
	struct seen s;

	fixture_create(&f, family, 1, NULL);
	add_services();
	fixture_create(&other, family, 1, NULL);
	other.generation = f.generation;
	other.generation.index = NULL;
	fixture_publish(&other);
	join_cluster(&f, 1);
	join_cluster(&other, 2);
	for (unsigned int host = 0; host < 2; host++) {
		out = outgoing(host, 0, 17, 0);
		s = fixture_send(&f, BACKEND_PORT, &out);
		back = fixture_reply(&s.flow, 0);
		assert_int_equal(tell(&other).mode, host ? SLU_MODE_SNAT : SLU_MODE_EIP);
		s = fixture_send(&other, CLIENT_PORT, &back);
		assert_translated(&s, BACKEND_PORT, &out.dst, &out.src, &back);
		s = fixture_send(&other, BACKEND_PORT, &out);
		assert_translated(&s, CLIENT_PORT, &back.dst, &out.dst, &out);
		assert_int_equal(s.flow.sport, back.dport);
	}
	in = (struct flow){.src = out.dst, .dst = eip_address(), .sport = 9, .dport = 10, .protocol = 17, .payload = 4};
	s = fixture_send(&f, CLIENT_PORT, &in);
	back = fixture_reply(&s.flow, 0);
	assert_int_equal(tell(&other).mode, SLU_MODE_EIP);
	s = fixture_send(&other, BACKEND_PORT, &back);
	assert_translated(&s, CLIENT_PORT, &in.dst, &in.src, &back);
	assert_int_equal(slu_dataplane_session_count(other.dp), 3);
	assert_int_equal(fixture_counter(&other, SLU_COUNT_SESSIONS_CREATED), 0);
	fixture_destroy(&f);
	slu_dataplane_publish_cluster(other.dp, NULL);
	f = other;
	fixture_destroy(&f);
}

static void cluster__sessions__are_forwarded_by_a_node_that_did_not_make_them(void **state)
{
	(void)state;
	cluster__sessions__are_forwarded_by_a_node_that_did_not_make_them_of(4);
	cluster__sessions__are_forwarded_by_a_node_that_did_not_make_them_of(6);
}

#define BOTH(test)                                                                                                     \
	cmocka_unit_test_setup_teardown(test, setup4, teardown), cmocka_unit_test_setup_teardown(test, setup6, teardown)

/* Two nodes with the same services: f is node 1, the home of all public addresses. */
static void make_cluster(struct fixture *other, uint8_t family)
{
	fixture_create(&f, family, 1, NULL);
	add_services();
	fixture_create(other, family, 1, NULL);
	other->generation = f.generation;
	other->generation.index = NULL;
	fixture_publish(other);
	join_cluster(&f, 1);
	join_cluster(other, 2);
}

static void end_cluster(struct fixture *other)
{
	fixture_destroy(&f);
	slu_dataplane_publish_cluster(other->dp, NULL);
	f = *other;
	fixture_destroy(&f);
}

static struct slu_session_snapshot session_of(const struct fixture *node)
{
	struct slu_session_snapshot s[2];
	uint64_t cursor = 0;

	assert_int_equal(slu_dataplane_sessions(node->dp, &cursor, s, 2), 1);
	return s[0];
}

/* The sessions of both nodes are one: the same tuples, the same caller. */
static void assert_same_session(const struct fixture *a, const struct fixture *b)
{
	struct slu_session_snapshot x = session_of(a), y = session_of(b);

	fixture_assert_ip(&x.client, &y.client);
	fixture_assert_ip(&x.virtual_ip, &y.virtual_ip);
	fixture_assert_ip(&x.local, &y.local);
	fixture_assert_ip(&x.backend, &y.backend);
	assert_int_equal(x.client_port, y.client_port);
	assert_int_equal(x.backend_port, y.backend_port);
	assert_int_equal(x.listener_id, y.listener_id);
	assert_int_equal(x.mode, y.mode);
}

/* Requests go through node 2, answers come to node 1, which announces the address; neither has heard of the other. */
static void cluster__eip_whose_directions_part__is_one_session_of(uint8_t family, bool inward)
{
	struct slu_ip public, host, remote;
	struct fixture other, *asks = inward ? &f : &other, *answers = inward ? &other : &f;
	uint16_t near = inward ? CLIENT_PORT : BACKEND_PORT, far = inward ? BACKEND_PORT : CLIENT_PORT;
	struct flow syn, back;
	struct seen s;

	make_cluster(&other, family);
	public = eip_address(), host = fixture_backend(&f, 0), remote = fixture_client(&f, 0);
	syn = (struct flow){.src = inward ? remote : host,
		.dst = inward ? public : remote,
		.sport = 50000,
		.dport = 443,
		.protocol = 6,
		.flags = SYN};
	s = fixture_send(asks, near, &syn);
	assert_translated(&s, far, inward ? &remote : &public, inward ? &host : &remote, &syn);
	back = fixture_reply(&s.flow, SYN | ACK);
	s = fixture_send(answers, far, &back);
	assert_translated(&s, near, inward ? &public : &remote, inward ? &remote : &host, &back);
	assert_same_session(&f, &other);
	assert_int_equal(session_of(answers).state, SLU_TCP_SYN_RECV);
	/* Data of the caller tells the other node, and its answer brings the connection to both. */
	syn.flags = ACK;
	assert_true(fixture_send(asks, near, &syn).sent);
	syn.payload = 9;
	assert_true(fixture_send(asks, near, &syn).sent);
	if (inward) {
		tell(&other);
	} else {
		struct slu_sync_record records[8];
		uint32_t count = slu_sync_take(other.dp, records, 8);

		assert_int_equal(count, 1);
		assert_int_equal(records[0].kind, SLU_SYNC_REPORT);
		assert_int_equal(slu_sync_give(f.dp, records, count), count);
		slu_worker_poll(f.w);
		assert_int_equal(tell(&other).kind, SLU_SYNC_SESSION);
	}
	assert_int_equal(session_of(&f).state, SLU_TCP_ESTABLISHED);
	assert_int_equal(session_of(&other).state, SLU_TCP_ESTABLISHED);
	assert_same_session(&f, &other);
	assert_int_equal(fixture_counter(&other, SLU_COUNT_SYNC_CONFLICT), 0);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_SYNC_CONFLICT), 0);
	end_cluster(&other);
}

static void cluster__eip_whose_directions_part__is_one_session(void **state)
{
	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2)
		for (int inward = 0; inward < 2; inward++)
			cluster__eip_whose_directions_part__is_one_session_of(family, inward);
}

static void cluster__middle_of_an_eips_connection__goes_on_wherever_it_comes_to_of(uint8_t family)
{
	struct slu_ip public, remote, host;
	struct fixture other;
	struct flow out, in;
	struct seen s;

	make_cluster(&other, family);
	public = eip_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 0);
	out = outgoing(0, 0, 6, ACK);
	out.payload = 5;
	s = fixture_send(&f, BACKEND_PORT, &out);
	assert_translated(&s, CLIENT_PORT, &public, &remote, &out);
	in = fixture_reply(&s.flow, ACK);
	s = fixture_send(&other, CLIENT_PORT, &in);
	assert_translated(&s, BACKEND_PORT, &remote, &host, &in);
	assert_same_session(&f, &other);
	end_cluster(&other);
}

static void cluster__middle_of_an_eips_connection__goes_on_wherever_it_comes_to(void **state)
{
	(void)state;
	cluster__middle_of_an_eips_connection__goes_on_wherever_it_comes_to_of(4);
	cluster__middle_of_an_eips_connection__goes_on_wherever_it_comes_to_of(6);
}

static void cluster__ping_of_an_eip__may_be_answered_through_another_node(void **state)
{
	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct slu_ip public, remote, host;
		struct fixture other;
		struct flow out, in;
		struct seen s;

		make_cluster(&other, family);
		public = eip_address(), remote = fixture_client(&f, 0), host = fixture_backend(&f, 0);
		out = ping(0, 0);
		s = fixture_send(&other, BACKEND_PORT, &out);
		assert_translated(&s, CLIENT_PORT, &public, &remote, &out);
		in = fixture_reply(&s.flow, echo_reply());
		in.sport = s.flow.sport;
		s = fixture_send(&f, CLIENT_PORT, &in);
		assert_translated(&s, BACKEND_PORT, &remote, &host, &in);
		end_cluster(&other);
	}
}

/* Answers come here, requests elsewhere: what is seen counts towards the card. */
static void cluster__one_direction_alone__goes_to_the_card(void **state)
{
	struct slu_offload_request request;
	struct fixture other;
	struct flow in;

	(void)state;
	make_cluster(&other, 4);
	slu_offload_enable(f.dp, true);
	in = (struct flow){.src = fixture_client(&f, 0),
		.dst = eip_address(),
		.sport = 443,
		.dport = 50000,
		.protocol = 6,
		.flags = ACK,
		.payload = 99};
	for (int i = 0; i < 3; i++) {
		slu_worker_offload_flush(f.w);
		assert_false(slu_offload_next(f.dp, &request));
		assert_true(fixture_send(&f, CLIENT_PORT, &in).sent);
	}
	fixture_advance(&f, 30000); /* the others have heard of it */
	assert_true(fixture_send(&f, CLIENT_PORT, &in).sent);
	slu_worker_offload_flush(f.w);
	assert_true(slu_offload_next(f.dp, &request));
	assert_int_equal(request.dir, SLU_DIR_REPLY);
	end_cluster(&other);
}

/* What says nothing, or is of a host that cannot be called, opens nothing. */
static void cluster__odd_segments__open_nothing(void **state)
{
	static const uint8_t bad[] = {0, SYN | FIN, SYN | RST, SYN | ACK | FIN, SYN | ACK | RST};
	struct fixture other;
	struct flow odd;

	(void)state;
	make_cluster(&other, 4);
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		odd = outgoing(0, 0, 6, bad[i]);
		assert_false(fixture_send(&f, BACKEND_PORT, &odd).sent);
	}
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_TCP_FLAGS), RTE_DIM(bad));
	odd = outgoing(1, 0, 6, ACK); /* of SNAT: whoever lent the address knows */
	assert_false(fixture_send(&f, BACKEND_PORT, &odd).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_ASKED), 1);
	odd = (struct flow){.src = fixture_ip("127.0.0.1"), .dst = eip_address(), .protocol = 6, .flags = ACK};
	assert_false(fixture_send(&f, CLIENT_PORT, &odd).sent);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
	end_cluster(&other);
}

/* A download is one request and then acknowledgements; after a second the cluster knows of it. */
static void cluster__download__is_told_when_it_is_a_second_old(void **state)
{
	static const struct slu_sync_settings three = {
		.trigger = SLU_SYNC_AFTER_DATA, .threshold = 3, .outbox = 64, .inbox = 64};
	struct slu_sync_record r;
	struct flow out, back;
	struct seen s;

	(void)state;
	fixture_create(&f, 4, 1, NULL);
	add_services();
	assert_int_equal(slu_dataplane_set_sync(f.dp, &three), 0);
	out = outgoing(1, 0, 6, SYN);
	s = fixture_send(&f, BACKEND_PORT, &out);
	back = fixture_reply(&s.flow, SYN | ACK);
	assert_true(fixture_send(&f, CLIENT_PORT, &back).sent);
	back.flags = out.flags = ACK;
	out.payload = 100;
	assert_true(fixture_send(&f, BACKEND_PORT, &out).sent);
	out.payload = 0;
	fixture_advance(&f, 900000);
	assert_true(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(slu_sync_take(f.dp, &r, 1), 0);
	fixture_advance(&f, 200000);
	assert_true(fixture_send(&f, CLIENT_PORT, &back).sent);
	assert_int_equal(slu_sync_take(f.dp, &r, 1), 1);
	assert_int_equal(r.kind, SLU_SYNC_SESSION);
	assert_int_equal(slu_sync_take(f.dp, &r, 1), 0);
	fixture_destroy(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOTH(snat__tcp__is_translated_both_ways),
		BOTH(snat__udp__is_translated_both_ways),
		BOTH(snat__ping__gets_an_identifier_of_its_own_and_its_answer),
		BOTH(snat__tcp_states__follow_the_connection),
		BOTH(snat__repeated_syn__keeps_its_public_port),
		BOTH(snat__ports_used_up__is_a_counted_drop_and_other_remotes_still_work),
		BOTH(snat__no_address_of_the_family__is_a_counted_drop),
		BOTH(snat__udp_port__is_the_same_towards_every_remote),
		BOTH(snat__stranger_at_the_public_address__is_dropped_and_counted),
		BOTH(snat__ping_of_the_public_address__is_the_nodes),
		BOTH(inside_hosts__among_themselves_and_to_the_node__are_the_kernels),
		BOTH(inside_host__segment_without_a_session__is_answered_with_a_reset),
		BOTH(inside_host__calling_a_listener__is_balanced),
		BOTH(eip__out__keeps_its_port_under_the_public_address),
		BOTH(eip__in__reaches_the_private_host_with_the_clients_address),
		BOTH(eip__ping__works_in_both_directions),
		BOTH(eip__called_from_inside__sees_the_callers_public_address),
		BOTH(longest_prefix__rules),
		BOTH(icmp_error__from_a_router_outside__reaches_the_inside_host_from_that_router),
		BOTH(icmp_error__from_a_router_inside__leaves_with_the_public_address),
		BOTH(fragments__of_an_inside_host__follow_their_first),
		BOTH(bad_sources__open_nothing),
		BOTH(table_full__is_a_counted_drop),
		cmocka_unit_test_setup_teardown(
			several_workers__directions_meet_wherever_they_land, workers4, teardown),
		cmocka_unit_test_setup_teardown(
			several_workers__udp_port__is_the_same_wherever_packets_land, workers4, teardown),
		cmocka_unit_test(sessions__of_a_dead_process__are_taken_over),
		cmocka_unit_test(cluster__sessions__are_forwarded_by_a_node_that_did_not_make_them),
		cmocka_unit_test(cluster__eip_whose_directions_part__is_one_session),
		cmocka_unit_test(cluster__middle_of_an_eips_connection__goes_on_wherever_it_comes_to),
		cmocka_unit_test(cluster__ping_of_an_eip__may_be_answered_through_another_node),
		cmocka_unit_test(cluster__one_direction_alone__goes_to_the_card),
		cmocka_unit_test(cluster__odd_segments__open_nothing),
		cmocka_unit_test(cluster__download__is_told_when_it_is_a_second_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
