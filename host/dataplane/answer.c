#include "host/dataplane/answer.h"

#define FRAME_MIN_BYTES 60 /* without FCS */
#define QUOTE_MAX 128
#define TTL 64

static void swap(uint8_t *a, uint8_t *b, size_t count)
{
	uint8_t t[16];

	memcpy(t, a, count);
	memcpy(a, b, count);
	memcpy(b, t, count);
}

static void put_be16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put_be32(uint8_t *at, uint32_t v)
{
	put_be16(at, (uint16_t)(v >> 16));
	put_be16(at + 2, (uint16_t)v);
}

static uint32_t get_be32(const uint8_t *at)
{
	return __builtin_bswap32(slu_packet_load32(at));
}

/* Gives the frame its new length: headers up to l3 stay. Returns false if the buffer has no room. */
static bool resize(struct slu_packet *p, uint32_t ip_bytes)
{
	struct rte_mbuf *m = p->mbuf;
	uint32_t bytes = p->l3 + ip_bytes, padded = bytes < FRAME_MIN_BYTES ? FRAME_MIN_BYTES : bytes;

	if (m->nb_segs != 1 || padded > (uint32_t)(m->buf_len - m->data_off))
		return false;
	m->data_len = (uint16_t)padded;
	m->pkt_len = padded;
	memset(rte_pktmbuf_mtod_offset(m, uint8_t *, bytes), 0, padded - bytes);
	return true;
}

/* Turns the IP header around for an upper layer of so many bytes and sends the frame back. checksum_at: in the upper
 * layer. */
static void send_back(
	struct slu_worker *w, struct slu_packet *p, uint8_t protocol, uint16_t upper_bytes, unsigned int checksum_at)
{
	uint8_t *frame = rte_pktmbuf_mtod(p->mbuf, uint8_t *), *ip = frame + p->l3, *upper;
	uint64_t sum = 0;
	uint16_t checksum;

	swap(frame, frame + 6, 6);
	if (p->family == 4) {
		swap(ip + 12, ip + 16, 4);
		upper = ip + 20;
		ip[0] = 0x45;
		ip[1] = 0;
		put_be16(ip + 2, (uint16_t)(20 + upper_bytes));
		put_be32(ip + 4, 0x4000); /* no fragments, so no identification either (RFC 6864) */
		ip[8] = TTL;
		ip[9] = protocol;
		put_be16(ip + 10, 0);
		checksum = slu_checksum_final(slu_checksum_add(0, ip, 20));
		memcpy(ip + 10, &checksum, 2);
		if (protocol == SLU_PROTO_TCP)
			sum = slu_checksum_add_pseudo(0, ip + 12, ip + 16, 4, protocol, upper_bytes);
	} else {
		swap(ip + 8, ip + 24, 16);
		upper = ip + 40;
		put_be32(ip, 0x60000000);
		put_be16(ip + 4, upper_bytes);
		ip[6] = protocol;
		ip[7] = TTL;
		sum = slu_checksum_add_pseudo(0, ip + 8, ip + 24, 16, protocol, upper_bytes);
	}
	memset(upper + checksum_at, 0, 2);
	checksum = slu_checksum_final(slu_checksum_add(sum, upper, upper_bytes));
	memcpy(upper + checksum_at, &checksum, 2);
	p->mbuf->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	slu_worker_send(w, p->in_port, p->mbuf);
}

void slu_answer_rst(struct slu_worker *w, struct slu_packet *p, enum slu_counter why)
{
	uint32_t header = p->family == 4 ? 20 : 40, seq = 0, ack, length;
	uint8_t tcp[20] = {0}, flags;
	const uint8_t *old = slu_packet_l4(p);

	slu_worker_count(w, why);
	if (p->kind != SLU_PACKET_PLAIN || p->protocol != SLU_PROTO_TCP || p->tcp_flags & SLU_TCP_RST ||
		!slu_worker_may_answer(w)) {
		rte_pktmbuf_free(p->mbuf);
		return;
	}
	flags = SLU_TCP_RST;
	length = p->l3 + p->ip_bytes - p->l4 - (old[12] >> 4) * 4u;
	length += !!(p->tcp_flags & SLU_TCP_SYN) + !!(p->tcp_flags & SLU_TCP_FIN);
	ack = 0;
	if (p->tcp_flags & SLU_TCP_ACK) {
		seq = get_be32(old + 8);
	} else {
		ack = get_be32(old + 4) + length;
		flags |= SLU_TCP_ACK;
	}
	memcpy(tcp, old + 2, 2);
	memcpy(tcp + 2, old, 2);
	put_be32(tcp + 4, seq);
	put_be32(tcp + 8, ack);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	if (!resize(p, header + sizeof(tcp))) {
		rte_pktmbuf_free(p->mbuf);
		return;
	}
	memcpy(slu_packet_l3(p) + header, tcp, sizeof(tcp));
	slu_worker_count(w, SLU_COUNT_RST_SENT);
	send_back(w, p, SLU_PROTO_TCP, sizeof(tcp), 16);
}

/* word: the second 32 bits of the ICMP header. Returns whether it was sent. */
static bool send_icmp(struct slu_worker *w, struct slu_packet *p, uint8_t type, uint8_t code, uint32_t word)
{
	uint32_t header = p->family == 4 ? 20 : 40, quote = p->ip_bytes;
	uint8_t icmp[8 + QUOTE_MAX] = {type, code};

	if (p->kind == SLU_PACKET_LATER_FRAGMENT || p->kind == SLU_PACKET_ICMP_ERROR || !slu_worker_may_answer(w))
		return false;
	if (quote > QUOTE_MAX)
		quote = QUOTE_MAX;
	if (quote > (uint32_t)(p->mbuf->data_len - p->l3))
		quote = p->mbuf->data_len - p->l3;
	put_be32(icmp + 4, word);
	memcpy(icmp + 8, slu_packet_l3(p), quote);
	if (!resize(p, header + 8 + quote))
		return false;
	memcpy(slu_packet_l3(p) + header, icmp, 8 + quote);
	send_back(w, p, p->family == 4 ? SLU_PROTO_ICMP : SLU_PROTO_ICMPV6, (uint16_t)(8 + quote), 2);
	return true;
}

void slu_answer_time_exceeded(struct slu_worker *w, struct slu_packet *p)
{
	slu_worker_count(w, SLU_COUNT_DROP_TTL);
	if (send_icmp(w, p, p->family == 4 ? 11 : 3, 0, 0))
		slu_worker_count(w, SLU_COUNT_TIME_EXCEEDED_SENT);
	else
		rte_pktmbuf_free(p->mbuf);
}

void slu_answer_too_big(struct slu_worker *w, struct slu_packet *p, uint16_t mtu)
{
	bool sent;

	slu_worker_count(w, SLU_COUNT_DROP_TOO_BIG);
	sent = p->family == 4 ? send_icmp(w, p, 3, 4, mtu) : send_icmp(w, p, 2, 0, mtu);
	if (sent)
		slu_worker_count(w, SLU_COUNT_TOO_BIG_SENT);
	else
		rte_pktmbuf_free(p->mbuf);
}
