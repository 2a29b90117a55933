/*
 * Random rules and random frames, right and malformed, through the RTL and
 * through the software reference: what leaves the wires must be equal byte for
 * byte, what comes to the host must be the frame as it came with the right
 * reason, and the counters must add up.
 *
 * `SEED=n` repeats a run; `FRAMES=n` makes it longer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "card.h"
#include "checksum.h"
#include "packet_edit.h"
#include "reference.h"

#define RULES 300u
#define NEXT_HOPS 24u
#define BATCH_BEATS 900u /* below a port's packet store, so that no congestion drops a frame */
#define QUEUE 256u
#define DEFAULT_FRAMES 12000u
#define PORTS SLU_NIC_MODEL_PORTS

struct expected {
	struct reference_outcome outcome;
	uint8_t frame[REFERENCE_FRAME_BYTES]; /* as it came */
	size_t len;
};

struct fifo {
	struct expected entry[QUEUE];
	unsigned int head, tail;
};

static struct {
	struct card *card;
	struct reference reference;
	struct slu_rule rules[RULES];
	uint16_t next_hop_of[RULES];
	struct slu_nic_next_hop next_hops[NEXT_HOPS];
	struct fifo wire[PORTS][PORTS]; /* [egress][ingress] */
	struct fifo host[PORTS];
	uint64_t fates[PORTS][FATE_WIRE + 1];
	uint64_t reasons[PORTS][32];
	uint64_t rule_packets[RULES], rule_bytes[RULES];
	uint64_t frames, wrong;
	uint64_t random;
} t;

static unsigned int test_number;

static uint32_t below(uint32_t n)
{
	uint64_t z = t.random += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	z ^= z >> 31;
	return (uint32_t)((z >> 32) * n >> 32);
}

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

static void fill(void *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = (uint8_t)below(256);
}

static void print_test(bool good, const char *sentence)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++test_number, sentence);
	fflush(stdout);
}

/* ---- what comes out of the card ---- */

static void complain(const char *what, const struct expected *e, const uint8_t *got, size_t len)
{
	if (t.wrong++ >= 3)
		return;
	printf("# %s\n# in  (%zu) ", what, e ? e->len : 0);
	for (size_t i = 0; e && i < e->len && i < 90; i++)
		printf("%02x", e->frame[i]);
	printf("\n# want fate %d port %u reason %u (%zu) ", e ? (int)e->outcome.fate : -1, e ? e->outcome.port : 0,
		e ? e->outcome.reason : 0, e ? e->outcome.len : 0);
	for (size_t i = 0; e && i < e->outcome.len && i < 90; i++)
		printf("%02x", e->outcome.frame[i]);
	printf("\n# got (%zu) ", len);
	for (size_t i = 0; i < len && i < 90; i++)
		printf("%02x", got[i]);
	printf("\n");
}

static struct expected *front(struct fifo *f)
{
	return f->head == f->tail ? NULL : &f->entry[f->head % QUEUE];
}

/* Frames of one way in keep their order; those of two may interleave. */
static void wire_tx(void *ctx, unsigned int port, const uint8_t *frame, size_t len)
{
	(void)ctx;
	for (unsigned int in = 0; in < PORTS; in++) {
		struct expected *e = front(&t.wire[port][in]);

		if (e && e->outcome.len == len && !memcmp(e->outcome.frame, frame, len)) {
			t.wire[port][in].head++;
			return;
		}
	}
	complain("a frame left the wire that was not due",
		front(&t.wire[port][0]) ? front(&t.wire[port][0]) : front(&t.wire[port][1]), frame, len);
}

static bool completion_is(const struct slu_nic_rx_completion *c, const struct expected *e)
{
	const struct reference_outcome *o = &e->outcome;

	return c->len == e->len && c->reason == o->reason && (c->flags & ~SLU_NIC_RXF_RSS) == o->flags &&
	       c->l3_off == o->l3_off && c->l4_off == o->l4_off && c->tcp_flags == o->tcp_flags &&
	       c->proto == o->proto && (!(o->flags & SLU_NIC_RXF_VLAN) || c->vlan_tci == o->vlan_tci) &&
	       (!(o->flags & SLU_NIC_RXF_FLOW) || c->flow_id == (uint32_t)o->rule) &&
	       (!(o->flags & SLU_NIC_RXF_MARK) || c->mark == o->mark);
}

static void host_rx(void *ctx, const struct slu_nic_rx_completion *c, const uint8_t *frame)
{
	struct expected *e = c->port < PORTS ? front(&t.host[c->port]) : NULL;

	(void)ctx;
	if (!e) {
		complain("a frame came to the host that was not due", NULL, frame, c->len);
		return;
	}
	t.host[c->port].head++;
	if (completion_is(c, e) && !memcmp(frame, e->frame, e->len))
		return;
	complain("a frame for the host is wrong", e, frame, c->len);
	if (t.wrong <= 3)
		printf("# completion: len %u reason %u flags 0x%x/0x%x l3 %u/%u l4 %u/%u tcp 0x%x/0x%x proto %u/%u"
		       " tci %u/%u flow %u/%d mark %u/%u\n",
			c->len, c->reason, c->flags, e->outcome.flags, c->l3_off, e->outcome.l3_off, c->l4_off,
			e->outcome.l4_off, c->tcp_flags, e->outcome.tcp_flags, c->proto, e->outcome.proto, c->vlan_tci,
			e->outcome.vlan_tci, c->flow_id, e->outcome.rule, c->mark, e->outcome.mark);
}

/* ---- rules ---- */

static void make_next_hops(void)
{
	for (unsigned int i = 0; i < NEXT_HOPS; i++) {
		struct slu_nic_next_hop *h = &t.next_hops[i];

		memset(h, 0, sizeof(*h));
		fill(h->dmac, 12);
		h->port = (uint8_t)(i & 1);
		h->flags = SLU_NIC_NH_VALID;
		fill(&h->vlan_tci, 2);
		if (i % 4 == 1)
			h->flags |= SLU_NIC_NH_VLAN_SET;
		if (i % 4 == 2)
			h->flags |= SLU_NIC_NH_VLAN_KEEP;
		if (i % 4 == 3)
			h->mtu = (slu_le16)(100 + below(1400));
		card_write_next_hop(t.card, (uint16_t)i, h);
	}
	/* One not valid, one to a port that does not exist. */
	t.next_hops[NEXT_HOPS - 1].flags = 0;
	t.next_hops[NEXT_HOPS - 2].port = PORTS;
	card_write_next_hop(t.card, NEXT_HOPS - 1, &t.next_hops[NEXT_HOPS - 1]);
	card_write_next_hop(t.card, NEXT_HOPS - 2, &t.next_hops[NEXT_HOPS - 2]);
}

static void make_actions(struct slu_rule *r)
{
	uint32_t kind = below(20);

	r->actions = SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT | SLU_NIC_ACT_SET_DPORT |
		     SLU_NIC_ACT_DEC_TTL | SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_SET_DMAC | SLU_NIC_ACT_SET_SMAC |
		     SLU_NIC_ACT_COUNT;
	if (kind < 8)
		return;
	/* Any combination of changes. */
	r->actions = SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_COUNT | below(32) | below(4) << 6;
	if (kind == 8)
		r->actions |= SLU_NIC_ACT_DROP;
	if (kind == 9)
		r->actions |= SLU_NIC_ACT_TO_HOST;
	if (kind == 10)
		r->actions &= ~SLU_NIC_ACT_FORWARD;
	if (kind == 11)
		r->actions &= ~SLU_NIC_ACT_COUNT;
}

static void make_rule(unsigned int i)
{
	struct slu_rule *r = &t.rules[i];

	memset(r, 0, sizeof(*r));
	r->ipv6 = one_in(2);
	r->proto = one_in(2) ? SLU_PROTO_TCP : SLU_PROTO_UDP;
	r->port_mask = one_in(5) ? (uint8_t)below(4) : 3;
	r->tcp_zero = one_in(4) ? (uint8_t)below(256) : 7;
	r->match_port_mac = one_in(4);
	r->vlan_match = one_in(3) ? (enum slu_nic_vlan_match)(1 + below(2)) : SLU_NIC_VLAN_MATCH_ANY;
	r->vid = (uint16_t)below(4);
	fill(r->src, r->ipv6 ? 16 : 4);
	fill(r->dst, r->ipv6 ? 16 : 4);
	/* Some differ in one place only from the one before, to catch a compare that looks away. */
	if (i && one_in(3)) {
		struct slu_rule *before = &t.rules[i - 1];
		uint8_t *at[] = {r->src, r->dst, (uint8_t *)&r->sport, (uint8_t *)&r->dport};
		unsigned int field = below(4);

		*r = *before;
		at[field][field < 2 ? below(r->ipv6 ? 16 : 4) : below(2)] ^= (uint8_t)(1u << below(8));
	} else {
		fill(&r->sport, 4);
	}
	fill(r->new_src, r->ipv6 ? 16 : 4);
	fill(r->new_dst, r->ipv6 ? 16 : 4);
	fill(&r->new_sport, 4);
	fill(&r->mark, 4);
	r->queue = 0xFFFF;
	make_actions(r);
	t.next_hop_of[i] = (uint16_t)(one_in(20) ? NEXT_HOPS - 1 - below(2) : below(NEXT_HOPS - 2));
}

static void make_rules(void)
{
	for (unsigned int i = 0; i < RULES;) {
		int err;

		make_rule(i);
		err = card_insert(t.card, &t.rules[i], i, t.next_hop_of[i]);
		/* An equal key or, once in a long while, an equal tag: the driver refuses these too. */
		i += err == 0;
	}
}

/* ---- frames ---- */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void finish_checksums(uint8_t *ip, bool v6, uint8_t proto, uint8_t *l4, size_t l4_len)
{
	uint8_t *at = l4 + (proto == SLU_PROTO_TCP ? 16 : 6);
	uint16_t csum;

	if (!v6) {
		put16(ip + 10, 0);
		csum = slu_checksum_final(slu_checksum_add(0, ip, 20));
		memcpy(ip + 10, &csum, 2);
	}
	put16(at, 0);
	csum = slu_checksum_final(slu_checksum_add(slu_checksum_add_pseudo(0, ip + (v6 ? 8 : 12), ip + (v6 ? 24 : 16),
							   v6 ? 16 : 4, proto, (uint32_t)l4_len),
		l4, l4_len));
	if (proto == SLU_PROTO_UDP && csum == 0)
		csum = 0xFFFF;
	/* Some senders leave UDP's out, and some checksums are wrong: both must stay so. */
	if (one_in(10))
		csum = proto == SLU_PROTO_UDP ? 0 : (uint16_t)below(65536);
	memcpy(at, &csum, 2);
}

/* A right frame of a rule. Returns its length. */
static size_t make_frame(const struct slu_rule *r, unsigned int port, uint8_t *f)
{
	const bool tcp = r->proto == SLU_PROTO_TCP;
	const size_t l4_header = tcp ? 20 + (one_in(3) ? 4 * below(6) : 0) : 8;
	const size_t payload = one_in(3) ? below(4) : one_in(20) ? below(8500) : below(300);
	uint8_t *ip = f + 14, *l4;
	size_t len;

	fill(f, 12);
	if (!one_in(8))
		memcpy(f, t.reference.mac[port], 6);
	put16(f + 12, r->ipv6 ? 0x86DD : 0x0800);
	l4 = ip + (r->ipv6 ? 40 : 20);
	if (r->ipv6) {
		put16(ip, 0x6000);
		fill(ip + 2, 2);
		put16(ip + 4, (uint32_t)(l4_header + payload));
		ip[6] = r->proto;
		ip[7] = (uint8_t)(one_in(30) ? below(2) : 2 + below(254));
		memcpy(ip + 8, r->src, 16);
		memcpy(ip + 24, r->dst, 16);
	} else {
		memset(ip, 0, 20);
		ip[0] = 0x45;
		fill(ip + 1, 1);
		put16(ip + 2, (uint32_t)(20 + l4_header + payload));
		fill(ip + 4, 2);
		ip[6] = one_in(2) ? 0x40 : 0;
		ip[8] = (uint8_t)(one_in(30) ? below(2) : 2 + below(254));
		ip[9] = r->proto;
		memcpy(ip + 12, r->src, 4);
		memcpy(ip + 16, r->dst, 4);
	}
	fill(l4, l4_header + payload);
	memcpy(l4, &r->sport, 2);
	memcpy(l4 + 2, &r->dport, 2);
	if (tcp) {
		l4[12] = (uint8_t)(l4_header / 4 << 4);
		l4[13] = one_in(10) ? (uint8_t)below(256) : 0x10;
	} else {
		put16(l4 + 4, (uint32_t)(8 + payload));
	}
	finish_checksums(ip, r->ipv6, r->proto, l4, l4_header + payload);
	len = (size_t)(l4 - f) + l4_header + payload;
	/* Ethernet padding, which belongs to no header. */
	while (len < SLU_NIC_FRAME_MIN_BYTES)
		f[len++] = (uint8_t)below(256);
	return len;
}

static size_t insert_tag(uint8_t *f, size_t len, uint32_t tpid)
{
	memmove(f + 16, f + 12, len - 12);
	put16(f + 12, tpid);
	put16(f + 14, (one_in(2) ? below(8) << 13 : 0) | (one_in(5) ? below(4096) : below(4)));
	return len + 4;
}

/* Damages a right frame. */
static size_t mutate(uint8_t *f, size_t len)
{
	switch (below(12)) {
	case 0: /* a bit of the headers */
	case 1:
		f[12 + below(60 < len - 12 ? 60 : (uint32_t)len - 12)] ^= (uint8_t)(1u << below(8));
		return len;
	case 2: /* cut short */
		return 1 + below((uint32_t)len);
	case 3: /* longer than its IP packet */
		fill(f + len, 40);
		return len + below(40);
	case 4: /* fragment, with its header checksum put right */
		put16(f + 20, 1 + below(0xFFFF));
		break;
	case 5: /* options */
		f[14] = (uint8_t)(0x40 | below(16));
		break;
	case 6: /* lengths */
		put16(f + (one_in(2) ? 16 : 18), below(one_in(2) ? 200 : 65536));
		break;
	case 7: /* next header, protocol */
		f[one_in(2) ? 23 : 20] =
			(uint8_t)(one_in(2) ? below(256) : (uint32_t[]){0, 43, 44, 51, 60, 135}[below(6)]);
		break;
	case 8: /* UDP length or TCP data offset */
		f[34 + below(20)] ^= (uint8_t)(1u << below(8));
		break;
	case 9: /* EtherType */
		put16(f + 12, one_in(2) ? 0x0806 : below(65536));
		return len;
	case 10: /* a tag below a tag */
		return insert_tag(f, insert_tag(f, len, one_in(2) ? 0x8100 : 0x88A8), 0x8100);
	default: /* bytes anywhere */
		fill(f + below((uint32_t)len), 1);
		return len;
	}
	if (f[12] == 8 && one_in(2)) {
		uint16_t csum;

		put16(f + 24, 0);
		csum = slu_checksum_final(slu_checksum_add(0, f + 14, 20));
		memcpy(f + 24, &csum, 2);
	}
	return len;
}

static size_t make_any_frame(unsigned int port, uint8_t *f)
{
	size_t len;

	if (one_in(30)) {
		len = one_in(10) ? 9100 + below(190) : 1 + below(200);
		fill(f, len);
		return len;
	}
	len = make_frame(&t.rules[below(RULES)], port, f);
	if (one_in(4))
		len = insert_tag(f, len, one_in(20) ? 0x88A8 : 0x8100);
	return one_in(4) ? mutate(f, len) : len;
}

/* ---- a run ---- */

static void expect(unsigned int port, const uint8_t *frame, size_t len, bool bad)
{
	static struct reference_outcome o;
	struct fifo *queue = NULL;

	reference_run(&t.reference, port, frame, len, bad, &o);
	t.fates[port][o.fate]++;
	t.frames++;
	if (o.fate == FATE_HOST) {
		t.reasons[port][o.reason]++;
		queue = &t.host[port];
	} else if (o.fate == FATE_WIRE) {
		queue = &t.wire[o.port][port];
	}
	/* Statistics of a flow: frames that its rule dropped, forwarded or sent to the host. */
	if (o.fate == FATE_WIRE || o.fate == FATE_RULE_DROP ||
		(o.fate == FATE_HOST && o.reason == SLU_NIC_REASON_RULE)) {
		if (t.rules[o.rule].actions & SLU_NIC_ACT_COUNT) {
			t.rule_packets[o.rule]++;
			t.rule_bytes[o.rule] += len;
		}
	}
	if (queue) {
		struct expected *e = &queue->entry[queue->tail++ % QUEUE];

		e->outcome = o;
		memcpy(e->frame, frame, len);
		e->len = len;
	}
}

/* Gives both ports a burst without gaps, then lets everything come out. */
static void run_batch(void)
{
	static uint8_t frame[REFERENCE_FRAME_BYTES + 64];

	for (unsigned int port = 0; port < PORTS; port++) {
		size_t beats = 0;

		for (unsigned int i = 0; i < QUEUE / 4; i++) {
			size_t len = make_any_frame(port, frame);
			bool bad = one_in(60);

			beats += (len + 63) / 64;
			if (beats > BATCH_BEATS)
				break;
			expect(port, frame, len, bad);
			if (slu_nic_model_wire_rx(card_model(t.card), port, frame, len, bad))
				complain("the model's wire is full", NULL, frame, len);
		}
	}
	if (!card_settle(t.card, 200000))
		complain("the card does not come to rest", NULL, NULL, 0);
	for (unsigned int port = 0; port < PORTS; port++) {
		for (unsigned int in = 0; in < PORTS; in++)
			for (struct expected *e; (e = front(&t.wire[port][in])); t.wire[port][in].head++)
				complain("a frame did not leave the wire", e, NULL, 0);
		for (struct expected *e; (e = front(&t.host[port])); t.host[port].head++)
			complain("a frame did not come to the host", e, NULL, 0);
	}
}

static bool stat_is(unsigned int port, enum slu_nic_port_stats index, uint64_t want)
{
	uint64_t got = card_port_stat(t.card, port, index);

	if (got != want)
		printf("# port %u statistic %d: %llu where %llu is due\n", port, (int)index, (unsigned long long)got,
			(unsigned long long)want);
	return got == want;
}

static bool port_statistics_add_up(void)
{
	bool good = true;

	for (unsigned int p = 0; p < PORTS; p++) {
		uint64_t exceptions = t.fates[p][FATE_HOST] - t.reasons[p][SLU_NIC_REASON_MISS] -
				      t.reasons[p][SLU_NIC_REASON_TCP_FLAGS];

		good &= stat_is(p, SLU_NIC_STAT_RX_RUNT, t.fates[p][FATE_RUNT]);
		good &= stat_is(p, SLU_NIC_STAT_RX_GIANT, t.fates[p][FATE_GIANT]);
		good &= stat_is(p, SLU_NIC_STAT_RX_WIRE_ERROR, t.fates[p][FATE_WIRE_ERROR]);
		good &= stat_is(p, SLU_NIC_STAT_RX_FIFO_DROP, 0);
		good &= stat_is(p, SLU_NIC_STAT_HIT_FRAMES, t.fates[p][FATE_WIRE]);
		good &= stat_is(p, SLU_NIC_STAT_RULE_DROP, t.fates[p][FATE_RULE_DROP]);
		good &= stat_is(p, SLU_NIC_STAT_TO_HOST, t.fates[p][FATE_HOST]);
		good &= stat_is(p, SLU_NIC_STAT_REASON_MISS, t.reasons[p][SLU_NIC_REASON_MISS]);
		good &= stat_is(p, SLU_NIC_STAT_REASON_TCP_FLAGS, t.reasons[p][SLU_NIC_REASON_TCP_FLAGS]);
		good &= stat_is(p, SLU_NIC_STAT_REASON_EXCEPTION, exceptions);
	}
	return good;
}

static bool flow_statistics_add_up(void)
{
	bool good = true;

	for (unsigned int i = 0; i < RULES; i++) {
		uint64_t packets, bytes;

		card_flow_stats(t.card, i, &packets, &bytes);
		if (packets == t.rule_packets[i] && bytes == t.rule_bytes[i])
			continue;
		if (good)
			printf("# flow %u: %llu packets %llu bytes where %llu, %llu are due\n", i,
				(unsigned long long)packets, (unsigned long long)bytes,
				(unsigned long long)t.rule_packets[i], (unsigned long long)t.rule_bytes[i]);
		good = false;
	}
	return good;
}

static void run(struct slu_nic_latency record, uint64_t seed, uint64_t frames, const char *memory)
{
	struct card_config config = {.record = record,
		.counter = record,
		.dma = {20, 60},
		.seed = seed,
		.rx = true,
		.wire_tx = wire_tx,
		.host_rx = host_rx};
	struct slu_nic_model_stats model;
	char sentence[200];

	memset(&t, 0, sizeof(t));
	t.random = seed;
	t.card = card_create(&config);
	t.reference = (struct reference){.rules = t.rules,
		.next_hop_of = t.next_hop_of,
		.rule_count = RULES,
		.next_hops = t.next_hops,
		.next_hop_count = NEXT_HOPS,
		.mac = {{2, 0x51, 0xCE, 0, 0, 0}, {2, 0x51, 0xCE, 0, 0, 1}}};
	for (unsigned int port = 0; port < PORTS; port++)
		card_set_mac(t.card, port, t.reference.mac[port]);
	make_next_hops();
	make_rules();
	while (t.frames < frames && t.wrong < 20)
		run_batch();
	snprintf(sentence, sizeof(sentence), "%llu random frames come out of the RTL as out of the agent's editing, %s",
		(unsigned long long)t.frames, memory);
	print_test(!t.wrong && t.frames >= frames, sentence);
	for (unsigned int port = 0; port < PORTS; port++) {
		printf("# port %u: forwarded %llu, dropped %llu, to the host %llu of which", port,
			(unsigned long long)t.fates[port][FATE_WIRE], (unsigned long long)t.fates[port][FATE_RULE_DROP],
			(unsigned long long)t.fates[port][FATE_HOST]);
		for (unsigned int r = 0; r < 32; r++)
			if (t.reasons[port][r])
				printf(" reason %u: %llu", r, (unsigned long long)t.reasons[port][r]);
		printf("\n");
	}
	print_test(port_statistics_add_up(), "port statistics count each frame once, under the right name");
	print_test(flow_statistics_add_up(), "statistics of every flow count its frames and bytes");
	slu_nic_model_get_stats(card_model(t.card), &model);
	print_test(model.protocol_errors == 0 && card_read(t.card, SLU_NIC_ID_BASE + SLU_NIC_ID_MEMORY_ERRORS) == 0 &&
			   card_read(t.card, SLU_NIC_ID_BASE + SLU_NIC_ID_DMA_WRITE_ERRORS) == 0,
		"the card breaks no rule of its buses");
	card_destroy(t.card);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(void)
{
	uint64_t seed = from_environment("SEED", (uint64_t)time(NULL));
	uint64_t frames = from_environment("FRAMES", DEFAULT_FRAMES);

	printf("1..8\n# SEED=%llu FRAMES=%llu\n", (unsigned long long)seed, (unsigned long long)frames);
	run((struct slu_nic_latency){40, 40}, seed, frames, "memory of fixed latency");
	run((struct slu_nic_latency){20, 200}, seed + 1, frames, "memory that reorders");
	return 0;
}
