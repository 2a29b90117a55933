#include "vnet.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <string.h>

#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u
#define TCP_HEADER_MIN 20u
#define TCP_CSUM_OFFSET 16u
#define UDP_CSUM_OFFSET 6u
#define SEGMENT_HEADERS_MAX 256u

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* Ones' complement sum (RFC 1071) in memory order; `sum` is one of these too. */
static uint64_t sum_bytes(const uint8_t *p, size_t len, uint64_t sum)
{
	uint64_t v;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&v, p, 8);
		sum += v;
		sum += sum < v;
	}
	if (len) {
		v = 0;
		memcpy(&v, p, len);
		sum += v;
		sum += sum < v;
	}
	return sum;
}

/* Memory-order 16 bits, ready to be stored with memcpy. */
static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

static void put_csum(uint8_t *at, uint64_t sum)
{
	uint16_t csum = (uint16_t)~fold(sum);

	memcpy(at, &csum, 2);
}

/* Puts the tag back, using the headroom, and emits. */
static void emit_tagged(uint8_t *frame, size_t len, struct slu_vnet_tag tag, slu_vnet_emit emit, void *ctx)
{
	if (tag.tpid) {
		memmove(frame - 4, frame, 2 * ETH_ALEN);
		frame -= 4;
		len += 4;
		put16(frame + 12, tag.tpid);
		put16(frame + 14, tag.tci);
	}
	emit(ctx, frame, len);
}

/* Offset of the IP header, past tags that stand in the frame; 0 if the frame is not IP. */
static size_t ip_offset(const uint8_t *frame, size_t len, uint32_t *ethertype)
{
	size_t at = 12;

	while (at + 2 <= len) {
		*ethertype = get16(frame + at);
		if (*ethertype == ETH_P_IP || *ethertype == ETH_P_IPV6)
			return at + 2;
		if (*ethertype != ETH_P_8021Q && *ethertype != ETH_P_8021AD)
			return 0;
		at += 4;
	}
	return 0;
}

/* The field holds the sum of the pseudo header: complete it over the rest. */
static int finish_csum(const struct virtio_net_hdr *h, uint8_t *frame, size_t len)
{
	size_t field = (size_t)h->csum_start + h->csum_offset;
	uint16_t csum;

	if (h->csum_start >= len || field + 2 > len)
		return -EINVAL;
	csum = (uint16_t)~fold(sum_bytes(frame + h->csum_start, len - h->csum_start, 0));
	/* UDP: 0 would mean that there is none (RFC 768). */
	if (!csum && h->csum_offset == UDP_CSUM_OFFSET)
		csum = 0xFFFF;
	memcpy(frame + field, &csum, 2);
	return 0;
}

/* A TCP super-segment, and what its segments need. */
struct super {
	uint8_t *frame;
	size_t ip;      /* offset of the IP header */
	size_t tcp;     /* offset of the TCP header */
	size_t headers; /* bytes before the payload */
	size_t end;     /* of the payload */
	size_t mss;
	bool v6;
};

static int parse_super(const struct virtio_net_hdr *h, uint8_t *frame, size_t len, struct super *s)
{
	uint32_t ethertype = 0;
	size_t doff;

	s->frame = frame;
	s->ip = ip_offset(frame, len, &ethertype);
	s->v6 = ethertype == ETH_P_IPV6;
	s->tcp = h->csum_start;
	s->mss = h->gso_size;
	s->end = len;
	if (!s->ip || !s->mss || s->v6 != ((h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV6))
		return -EINVAL;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->csum_offset != TCP_CSUM_OFFSET)
		return -EINVAL;
	if (s->tcp < s->ip + (s->v6 ? 40 : 20) || s->tcp + TCP_HEADER_MIN > len)
		return -EINVAL;
	if (!s->v6 && s->ip + (size_t)(frame[s->ip] & 15) * 4 != s->tcp)
		return -EINVAL;
	doff = (size_t)(frame[s->tcp + 12] >> 4) * 4;
	s->headers = s->tcp + doff;
	if (doff < TCP_HEADER_MIN || s->headers > len || s->headers > SEGMENT_HEADERS_MAX)
		return -EINVAL;
	return 0;
}

/* Lengths, IPv4 identification and header checksum of segment `n`. */
static void put_ip(const struct super *s, uint8_t *seg, size_t len, uint32_t n)
{
	uint8_t *ip = seg + s->ip;

	if (s->v6) {
		put16(ip + 4, (uint32_t)(len - s->ip - 40));
		return;
	}
	put16(ip + 2, (uint32_t)(len - s->ip));
	put16(ip + 4, get16(ip + 4) + n);
	put16(ip + 10, 0);
	put_csum(ip + 10, sum_bytes(ip, (size_t)(ip[0] & 15) * 4, 0));
}

static void put_tcp(const struct super *s, uint8_t *seg, size_t len, size_t at)
{
	uint8_t *tcp = seg + s->tcp;
	size_t tcp_len = len - s->tcp;
	bool first = at == s->headers;
	bool last = at + (len - s->headers) >= s->end;
	uint8_t tail[4];
	uint64_t sum;

	put32(tcp + 4, get32(tcp + 4) + (uint32_t)(at - s->headers));
	if (!first)
		tcp[13] &= (uint8_t)~TCP_CWR;
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	put16(tcp + 16, 0);
	put16(tail, 6);
	put16(tail + 2, (uint32_t)tcp_len);
	sum = s->v6 ? sum_bytes(seg + s->ip + 8, 32, 0) : sum_bytes(seg + s->ip + 12, 8, 0);
	sum = sum_bytes(tail, 4, sum);
	put_csum(tcp + 16, sum_bytes(tcp, tcp_len, sum));
}

/*
 * Segments are built in place, over the payload that came before: the headers
 * of the next segment go right before its payload.
 */
static int segment(struct super *s, struct slu_vnet_tag tag, slu_vnet_emit emit, void *ctx)
{
	uint8_t headers[SEGMENT_HEADERS_MAX];
	size_t at = s->headers;
	uint32_t n = 0;

	memcpy(headers, s->frame, s->headers);
	do {
		size_t part = s->end - at < s->mss ? s->end - at : s->mss;
		uint8_t *seg = s->frame + at - s->headers;

		memcpy(seg, headers, s->headers);
		put_ip(s, seg, s->headers + part, n++);
		put_tcp(s, seg, s->headers + part, at);
		emit_tagged(seg, s->headers + part, tag, emit, ctx);
		at += part;
	} while (at < s->end);
	return (int)n;
}

int slu_vnet_unpack(const struct virtio_net_hdr *h, uint8_t *frame, size_t len, struct slu_vnet_tag tag,
	slu_vnet_emit emit, void *ctx)
{
	uint8_t gso = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	struct super s;
	int err;

	if (len < ETH_HLEN)
		return -EINVAL;
	if (gso == VIRTIO_NET_HDR_GSO_TCPV4 || gso == VIRTIO_NET_HDR_GSO_TCPV6) {
		err = parse_super(h, frame, len, &s);
		return err ? err : segment(&s, tag, emit, ctx);
	}
	if (gso != VIRTIO_NET_HDR_GSO_NONE)
		return -ENOTSUP;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		err = finish_csum(h, frame, len);
		if (err)
			return err;
	}
	emit_tagged(frame, len, tag, emit, ctx);
	return 1;
}
