/* Frames with a virtio-net header, made into frames of a wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hw/sim/vnet.h"

#define FRAMES_MAX 128

/* What was emitted. */
static struct {
	uint8_t bytes[2048];
	size_t len;
} out[FRAMES_MAX];
static unsigned int out_count;

static void collect(void *ctx, const uint8_t *frame, size_t len)
{
	assert_ptr_equal(ctx, &out_count);
	assert_true(out_count < FRAMES_MAX && len <= sizeof(out[0].bytes));
	memcpy(out[out_count].bytes, frame, len);
	out[out_count++].len = len;
}

static int unpack(const struct virtio_net_hdr *h, const uint8_t *frame, size_t len, struct slu_vnet_tag tag)
{
	static uint8_t room[SLU_VNET_HEADROOM + SLU_VNET_FRAME_BYTES];

	out_count = 0;
	memcpy(room + SLU_VNET_HEADROOM, frame, len);
	return slu_vnet_unpack(h, room + SLU_VNET_HEADROOM, len, tag, collect, &out_count);
}

/* An independent checksum: byte pairs, as RFC 1071 spells it. */
static uint32_t add_words(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint32_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

static int l4_sum_is_right(const uint8_t *frame, size_t len, size_t ip, size_t l4, uint8_t proto)
{
	uint32_t sum = proto + (uint32_t)(len - l4);

	sum = frame[ip] >> 4 == 6 ? add_words(sum, frame + ip + 8, 32) : add_words(sum, frame + ip + 12, 8);
	return fold(add_words(sum, frame + l4, len - l4)) == 0xFFFF;
}

/* Ethernet, IPv4 10.1.2.3 > 10.4.5.6, TCP 1000 > 2000 with PSH, FIN, CWR; payload counts up. */
static size_t make_tcp4(uint8_t *f, size_t payload)
{
	static const uint8_t head[54] = {
		2,
		0,
		0,
		0,
		0,
		1,
		2,
		0,
		0,
		0,
		0,
		2,
		8,
		0, /* Ethernet */
		0x45,
		0,
		0,
		0,
		0xFF,
		0xFE,
		0x40,
		0,
		64,
		6,
		0,
		0,
		10,
		1,
		2,
		3,
		10,
		4,
		5,
		6, /* IPv4, id 0xfffe */
		3,
		0xE8,
		7,
		0xD0,
		0xFF,
		0xFF,
		0xFF,
		0x00,
		0,
		0,
		0,
		9,
		0x50,
		0x99,
		1,
		0,
		0,
		0,
		0,
		0,
	};

	memcpy(f, head, sizeof(head));
	for (size_t i = 0; i < payload; i++)
		f[sizeof(head) + i] = (uint8_t)(i * 7);
	return sizeof(head) + payload;
}

static const struct virtio_net_hdr tso4 = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = 54,
	.gso_size = 1000,
	.csum_start = 34,
	.csum_offset = 16};

static void plain_frame__no_flags__passes_unchanged(void **state)
{
	uint8_t f[200];
	size_t len = make_tcp4(f, 20);

	(void)state;
	assert_int_equal(unpack(&(struct virtio_net_hdr){0}, f, len, (struct slu_vnet_tag){0}), 1);
	assert_int_equal(out[0].len, len);
	assert_memory_equal(out[0].bytes, f, len);
}

static void plain_frame__tag_taken_out_by_the_kernel__is_put_back(void **state)
{
	uint8_t f[200];
	size_t len = make_tcp4(f, 20);

	(void)state;
	assert_int_equal(unpack(&(struct virtio_net_hdr){0}, f, len, (struct slu_vnet_tag){0x8100, 0x6123}), 1);
	assert_int_equal(out[0].len, len + 4);
	assert_memory_equal(out[0].bytes, f, 12);
	assert_memory_equal(out[0].bytes + 12, ((uint8_t[]){0x81, 0x00, 0x61, 0x23}), 4);
	assert_memory_equal(out[0].bytes + 16, f + 12, len - 12);
}

static void partial_checksum__pseudo_header_in_the_field__is_finished(void **state)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	uint8_t f[200];

	(void)state;
	/* Odd and even lengths: the last byte counts as the high half of a word. */
	for (size_t payload = 19; payload < 22; payload++) {
		size_t len = make_tcp4(f, payload);
		uint32_t pseudo = fold(add_words(6 + (uint32_t)(len - 34), f + 26, 8));

		f[34 + 16] = (uint8_t)(pseudo >> 8);
		f[34 + 17] = (uint8_t)pseudo;
		assert_int_equal(unpack(&h, f, len, (struct slu_vnet_tag){0}), 1);
		assert_true(l4_sum_is_right(out[0].bytes, out[0].len, 14, 34, 6));
	}
}

static void partial_checksum__udp_sum_is_zero__is_sent_as_ffff(void **state)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	uint8_t f[44] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17};

	(void)state;
	/* The field and two payload bytes sum to 0xffff, whose complement is 0. */
	f[40] = 0x12;
	f[41] = 0x34;
	f[42] = 0xED;
	f[43] = 0xCB;
	assert_int_equal(unpack(&h, f, sizeof(f), (struct slu_vnet_tag){0}), 1);
	assert_int_equal(out[0].bytes[40] << 8 | out[0].bytes[41], 0xFFFF);
}

static void super_segment__tcp_over_ipv4__is_cut_with_right_headers(void **state)
{
	static uint8_t f[4096];
	size_t len = make_tcp4(f, 2500), at = 0;

	(void)state;
	assert_int_equal(unpack(&tso4, f, len, (struct slu_vnet_tag){0}), 3);
	for (unsigned int i = 0; i < 3; i++) {
		const uint8_t *s = out[i].bytes;
		size_t payload = i < 2 ? 1000 : 500;
		uint32_t seq = 0xFFFFFF00u + (uint32_t)at;

		assert_int_equal(out[i].len, 54 + payload);
		assert_int_equal(s[16] << 8 | s[17], 40 + payload);
		assert_int_equal(s[18] << 8 | s[19], (0xFFFE + i) & 0xFFFF);
		assert_int_equal(fold(add_words(0, s + 14, 20)), 0xFFFF);
		assert_int_equal((uint32_t)s[38] << 24 | s[39] << 16 | s[40] << 8 | s[41], seq);
		/* CWR in the first only, FIN and PSH in the last only, ACK in all. */
		assert_int_equal(s[47], i == 0 ? 0x90 : i == 1 ? 0x10 : 0x19);
		assert_true(l4_sum_is_right(s, out[i].len, 14, 34, 6));
		assert_memory_equal(s + 54, f + 54 + at, payload);
		at += payload;
	}
}

static void super_segment__tcp_over_ipv6_with_tag__each_segment_is_tagged(void **state)
{
	struct virtio_net_hdr h = tso4;
	static uint8_t f[2048] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xDD, 0x60, 0, 0, 0, 0, 0, 6, 64};
	size_t len = 14 + 40 + 20 + 1200;

	(void)state;
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	h.csum_start = 54;
	f[22] = 0xFD;
	f[37] = 1;
	f[38] = 0xFD;
	f[53] = 2;
	f[54 + 12] = 0x50;
	f[54 + 13] = 0x18;
	for (size_t i = 74; i < len; i++)
		f[i] = (uint8_t)(i * 3);
	assert_int_equal(unpack(&h, f, len, (struct slu_vnet_tag){0x88A8, 7}), 2);
	for (unsigned int i = 0; i < 2; i++) {
		const uint8_t *s = out[i].bytes;
		size_t payload = i ? 200 : 1000;

		assert_int_equal(out[i].len, 78 + payload);
		assert_memory_equal(s + 12, ((uint8_t[]){0x88, 0xA8, 0, 7, 0x86, 0xDD}), 6);
		assert_int_equal(s[22] << 8 | s[23], 20 + payload);
		assert_true(l4_sum_is_right(s, out[i].len, 18, 58, 6));
		assert_memory_equal(s + 78, f + 74 + (i ? 1000 : 0), payload);
	}
}

static void header__contradicts_the_frame__nothing_is_emitted(void **state)
{
	static uint8_t f[4096];
	const size_t len = make_tcp4(f, 2500);
	struct {
		const char *sentence;
		struct virtio_net_hdr h;
		size_t len;
		int error;
	} rows[] = {
		{"shorter than an Ethernet header", {0}, 13, -EINVAL},
		{"checksum starts past the end", {.flags = 1, .csum_start = 5000, .csum_offset = 6}, len, -EINVAL},
		{"checksum field past the end", {.flags = 1, .csum_start = 34, .csum_offset = 65535}, len, -EINVAL},
		{"segments of 0 bytes", tso4, len, -EINVAL},
		{"IPv6 segmentation of an IPv4 frame", tso4, len, -EINVAL},
		{"TCP begins inside the IP header", tso4, len, -EINVAL},
		{"TCP header past the end", tso4, 50, -EINVAL},
		{"checksum field that is not TCP's", tso4, len, -EINVAL},
		{"without a checksum to finish", tso4, len, -EINVAL},
		{"UDP fragmentation", {.gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 1000}, len, -ENOTSUP},
		{"UDP segmentation", {.gso_type = 5, .gso_size = 1000}, len, -ENOTSUP},
	};

	(void)state;
	rows[3].h.gso_size = 0;
	rows[4].h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	rows[5].h.csum_start = 30;
	rows[7].h.csum_offset = 6;
	rows[8].h.flags = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# %s\n", rows[i].sentence);
		assert_int_equal(unpack(&rows[i].h, f, rows[i].len, (struct slu_vnet_tag){0}), rows[i].error);
		assert_int_equal(out_count, 0);
	}
	/* A TCP header longer than the frame. */
	f[46] = 0xF0;
	assert_int_equal(unpack(&tso4, f, 34 + 40, (struct slu_vnet_tag){0}), -EINVAL);
	assert_int_equal(out_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_frame__no_flags__passes_unchanged),
		cmocka_unit_test(plain_frame__tag_taken_out_by_the_kernel__is_put_back),
		cmocka_unit_test(partial_checksum__pseudo_header_in_the_field__is_finished),
		cmocka_unit_test(partial_checksum__udp_sum_is_zero__is_sent_as_ffff),
		cmocka_unit_test(super_segment__tcp_over_ipv4__is_cut_with_right_headers),
		cmocka_unit_test(super_segment__tcp_over_ipv6_with_tag__each_segment_is_tagged),
		cmocka_unit_test(header__contradicts_the_frame__nothing_is_emitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
