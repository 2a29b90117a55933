/*
 * Datagrams of session sync as text, for tests that talk to other implementations.
 *
 * sync_datagram encode GROUP [plain]   each line of stdin is a session, `key=value ...` (keys below); prints one
 *                                      datagram in hex. plain: only what Linux understands
 * sync_datagram decode GROUP           each line of stdin is a datagram in hex; prints its verdicts,
 *                                      `= VERDICT COUNT ...`, and then a line for each session taken, as encode reads
 * it
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/control/ip.h"
#include "host/sync/codec.h"

#define LINE_BYTES (2 * 65536)

static const char *const modes[] = {[SLU_MODE_FULLNAT] = "fullnat",
	[SLU_MODE_NAT] = "nat",
	[SLU_MODE_SNAT] = "snat",
	[SLU_MODE_EIP] = "eip",
	[SLU_MODE_DR] = "dr",
	[SLU_MODE_TUN] = "tun"};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static void fail(const char *what, const char *text)
{
	fprintf(stderr, "sync_datagram: %s: %s\n", what, text);
	exit(1);
}

static void set_address(struct slu_sync_record *r, uint8_t *address, const char *text)
{
	struct slu_ip ip;

	if (slu_ip_parse(text, &ip) != 0)
		fail("not an address", text);
	r->family = ip.family;
	memcpy(address, ip.bytes, sizeof(ip.bytes));
}

static void set_mode(struct slu_sync_record *r, const char *text)
{
	for (unsigned int i = 0; i < MODES; i++)
		if (strcmp(text, modes[i]) == 0) {
			r->mode = (uint8_t)i;
			return;
		}
	fail("not a mode", text);
}

static void set_number(struct slu_sync_record *r, const char *key, uint32_t n)
{
	if (strcmp(key, "kind") == 0)
		r->kind = (uint8_t)n;
	else if (strcmp(key, "protocol") == 0)
		r->protocol = (uint8_t)n;
	else if (strcmp(key, "state") == 0)
		r->state = (uint8_t)n;
	else if (strcmp(key, "flags") == 0)
		r->flags = (uint8_t)n;
	else if (strcmp(key, "version") == 0)
		r->version = (uint16_t)n;
	else if (strcmp(key, "vpc") == 0)
		r->vpc = n;
	else if (strcmp(key, "timeout_s") == 0)
		r->timeout_s = n;
	else if (strcmp(key, "age_ms") == 0)
		r->age_ms = n;
	else if (strcmp(key, "creator") == 0)
		r->creator = (uint8_t)n;
	else if (strcmp(key, "cport") == 0)
		r->client_port = htobe16((uint16_t)n);
	else if (strcmp(key, "vport") == 0)
		r->virtual_port = htobe16((uint16_t)n);
	else if (strcmp(key, "lport") == 0)
		r->local_port = htobe16((uint16_t)n);
	else if (strcmp(key, "bport") == 0)
		r->backend_port = htobe16((uint16_t)n);
	else if (strcmp(key, "sender") != 0)
		fail("not a key", key);
}

static void set_field(struct slu_sync_record *r, char *word)
{
	char *value = strchr(word, '=');

	if (!value)
		fail("not key=value", word);
	*value++ = 0;
	if (strcmp(word, "client") == 0)
		set_address(r, r->client, value);
	else if (strcmp(word, "virtual") == 0)
		set_address(r, r->virtual_ip, value);
	else if (strcmp(word, "local") == 0)
		set_address(r, r->local, value);
	else if (strcmp(word, "backend") == 0)
		set_address(r, r->backend, value);
	else if (strcmp(word, "mode") == 0)
		set_mode(r, value);
	else
		set_number(r, word, (uint32_t)strtoul(value, NULL, 0));
}

static struct slu_sync_record parse_record(char *line)
{
	static const uint8_t none[16];
	struct slu_sync_record r = {.protocol = 6, .mode = SLU_MODE_NAT, .state = 1};

	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"))
		set_field(&r, word);
	if (memcmp(r.local, none, sizeof(none)) == 0) {
		memcpy(r.local, r.client, sizeof(r.local));
		r.local_port = r.client_port;
	}
	return r;
}

static void encode(char *line, uint8_t group, bool extensions)
{
	static uint8_t bytes[UINT16_MAX];
	struct slu_codec_writer w;
	uint32_t count;

	slu_codec_begin(&w, bytes, sizeof(bytes), group);
	while (fgets(line, LINE_BYTES, stdin)) {
		struct slu_sync_record r = parse_record(line);

		if (slu_codec_add(&w, &r, extensions) != 0)
			fail("cannot be told", "session");
	}
	if (w.count == 0)
		fail("no session", "stdin");
	count = slu_codec_end(&w, NULL);
	for (uint32_t i = 0; i < count; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static void print_address(const char *key, const struct slu_sync_record *r, const uint8_t *address)
{
	struct slu_ip ip = {.family = r->family};
	char text[SLU_IP_TEXT_BYTES];

	memcpy(ip.bytes, address, sizeof(ip.bytes));
	printf(" %s=%s", key, slu_ip_format(&ip, text));
}

static void print_record(const struct slu_sync_record *r)
{
	printf("mode=%s kind=%u protocol=%u state=%u flags=%u version=%u vpc=%u timeout_s=%u age_ms=%u creator=%u "
	       "sender=%u",
		modes[r->mode], r->kind, r->protocol, r->state, r->flags, r->version, r->vpc, r->timeout_s, r->age_ms,
		r->creator, r->sender);
	printf(" cport=%u vport=%u lport=%u bport=%u", be16toh(r->client_port), be16toh(r->virtual_port),
		be16toh(r->local_port), be16toh(r->backend_port));
	print_address("client", r, r->client);
	print_address("virtual", r, r->virtual_ip);
	print_address("local", r, r->local);
	print_address("backend", r, r->backend);
	putchar('\n');
}

static void decode(char *line, uint8_t group)
{
	static struct slu_codec_datagram in;
	static uint8_t bytes[LINE_BYTES / 2];

	while (fgets(line, LINE_BYTES, stdin)) {
		uint32_t count = 0;
		unsigned int byte;

		for (const char *at = line; sscanf(at, "%2x", &byte) == 1; at += 2)
			bytes[count++] = (uint8_t)byte;
		slu_codec_read(bytes, count, group, &in);
		putchar('=');
		for (unsigned int v = 0; v < SLU_CODEC_VERDICTS; v++)
			if (in.count[v])
				printf(" %s %u", slu_codec_verdict_name(v), in.count[v]);
		putchar('\n');
		for (uint32_t i = 0; i < in.record_count; i++)
			print_record(&in.records[i]);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	static char line[LINE_BYTES];
	uint8_t group;

	if (argc < 3 || (strcmp(argv[1], "encode") != 0 && strcmp(argv[1], "decode") != 0)) {
		fprintf(stderr, "usage: %s encode GROUP [plain] | decode GROUP\n", argv[0]);
		return 2;
	}
	group = (uint8_t)strtoul(argv[2], NULL, 0);
	if (argv[1][0] == 'e')
		encode(line, group, argc < 4);
	else
		decode(line, group);
	return 0;
}
