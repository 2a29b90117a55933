#include "host/sync/codec.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "host/control/generation.h"
#include "host/dataplane/session.h"

/* ---------------------------------------------------------------- the same */

static const char *const verdict_names[SLU_CODEC_VERDICTS] = {
	[SLU_CODEC_TAKEN] = "taken",
	[SLU_CODEC_SHORT] = "short",
	[SLU_CODEC_SIZE] = "size",
	[SLU_CODEC_GROUP] = "group",
	[SLU_CODEC_CUT_END] = "cut_end",
	[SLU_CODEC_CUT_SIZE] = "cut_size",
	[SLU_CODEC_CUT_VERSION] = "cut_version",
	[SLU_CODEC_CUT_TYPE] = "cut_type",
	[SLU_CODEC_CUT_PARAMETER] = "cut_parameter",
	[SLU_CODEC_DROP_PARAMETER] = "drop_parameter",
	[SLU_CODEC_DROP_PROTOCOL] = "drop_protocol",
	[SLU_CODEC_DROP_STATE] = "drop_state",
	[SLU_CODEC_DROP_ENGINE] = "drop_engine",
	[SLU_CODEC_DROP_EXTENSION] = "drop_extension",
	[SLU_CODEC_SKIP_TEMPLATE] = "skip_template",
	[SLU_CODEC_SKIP_METHOD] = "skip_method",
	[SLU_CODEC_SKIP_PORT] = "skip_port",
};

const char *slu_codec_verdict_name(enum slu_codec_verdict verdict)
{
	return verdict < SLU_CODEC_VERDICTS ? verdict_names[verdict] : "?";
}

static uint32_t align4(uint32_t bytes)
{
	return (bytes + 3) & ~3u;
}

/* Flags of a session that the wire tells, and their bits there. */
static const struct {
	uint8_t session, wire;
} flag_pairs[] = {
	{SLU_SESSION_FIN_REQ, SLU_SYNC_WIRE_FLAG_FIN_REQUEST},
	{SLU_SESSION_FIN_REP, SLU_SYNC_WIRE_FLAG_FIN_REPLY},
	{SLU_SESSION_RST, SLU_SYNC_WIRE_FLAG_RST},
};
#define FLAG_PAIRS (sizeof(flag_pairs) / sizeof(flag_pairs[0]))

static uint8_t flags_to_wire(uint8_t flags)
{
	uint8_t wire = 0;

	for (unsigned int i = 0; i < FLAG_PAIRS; i++)
		if (flags & flag_pairs[i].session)
			wire |= flag_pairs[i].wire;
	return wire;
}

static uint8_t flags_from_wire(uint8_t wire)
{
	uint8_t flags = 0;

	for (unsigned int i = 0; i < FLAG_PAIRS; i++)
		if (wire & flag_pairs[i].wire)
			flags |= flag_pairs[i].session;
	return flags;
}

/* Returns -1 for a mode that is not told. */
static int mode_to_wire(uint8_t mode)
{
	switch ((enum slu_mode)mode) {
	case SLU_MODE_FULLNAT:
		return SLU_SYNC_WIRE_MODE_FULLNAT;
	case SLU_MODE_NAT:
		return SLU_SYNC_WIRE_MODE_NAT;
	case SLU_MODE_DR:
		return SLU_SYNC_WIRE_MODE_ROUTE;
	case SLU_MODE_TUN:
		return SLU_SYNC_WIRE_MODE_TUNNEL;
	case SLU_MODE_SNAT:
		return SLU_SYNC_WIRE_MODE_SNAT;
	case SLU_MODE_EIP:
		return SLU_SYNC_WIRE_MODE_EIP;
	}
	return -1;
}

static int mode_from_wire(uint8_t wire)
{
	switch ((enum slu_sync_wire_mode)wire) {
	case SLU_SYNC_WIRE_MODE_FULLNAT:
		return SLU_MODE_FULLNAT;
	case SLU_SYNC_WIRE_MODE_NAT:
		return SLU_MODE_NAT;
	case SLU_SYNC_WIRE_MODE_ROUTE:
		return SLU_MODE_DR;
	case SLU_SYNC_WIRE_MODE_TUNNEL:
		return SLU_MODE_TUN;
	case SLU_SYNC_WIRE_MODE_SNAT:
		return SLU_MODE_SNAT;
	case SLU_SYNC_WIRE_MODE_EIP:
		return SLU_MODE_EIP;
	}
	return -1;
}

/* ---------------------------------------------------------------- writing */

void slu_codec_begin(struct slu_codec_writer *w, uint8_t *bytes, uint32_t room, uint8_t group)
{
	assert(room >= 80 && room <= UINT16_MAX);
	*w = (struct slu_codec_writer){.bytes = bytes,
		.room = room - SLU_CODEC_TRAILER_ROOM,
		.used = sizeof(struct slu_sync_wire_header),
		.group = group};
}

/* The start of a session of so many bytes in all, or NULL. Its size is written by close_session(). */
static uint8_t *open_session(struct slu_codec_writer *w, uint32_t bytes)
{
	uint32_t start = align4(w->used);

	if (start + bytes > w->room || w->count == SLU_CODEC_RECORDS_MAX)
		return NULL;
	memset(w->bytes + w->used, 0, start - w->used);
	w->last = start;
	w->used = start + bytes;
	w->count++;
	return w->bytes + start;
}

static uint32_t method_of(uint8_t mode)
{
	switch ((enum slu_mode)mode) {
	case SLU_MODE_DR:
		return SLU_SYNC_WIRE_ROUTE;
	case SLU_MODE_TUN:
		return SLU_SYNC_WIRE_TUNNEL;
	default:
		return SLU_SYNC_WIRE_NAT;
	}
}

static uint32_t wire_flags(const struct slu_sync_record *r)
{
	/* Only TCP has a state that is active; 1 is ESTABLISHED in every protocol that IPVS names so. */
	uint32_t inactive = r->protocol == 6 && r->state != 1 ? SLU_SYNC_WIRE_INACTIVE : 0;

	return method_of(r->mode) | inactive;
}

static void put_session(uint8_t *p, const struct slu_sync_record *r, uint32_t size)
{
	uint32_t n = r->family == 6 ? 16 : 4;
	const struct slu_sync_wire_session s = {
		.type = r->family == 6 ? SLU_SYNC_WIRE_IPV6 : 0,
		.protocol = r->protocol,
		.version_size = htobe16((uint16_t)size),
		.flags = htobe32(wire_flags(r)),
		.state = htobe16(r->state),
		.client_port = r->client_port,
		.virtual_port = r->virtual_port,
		.destination_port = r->backend_port,
		.timeout_s = htobe32(r->timeout_s),
	};

	memcpy(p, &s, sizeof(s));
	p += sizeof(s);
	memcpy(p, r->client, n);
	memcpy(p + n, r->virtual_ip, n);
	memcpy(p + 2 * n, r->backend, n);
}

static uint8_t *put_parameter(uint8_t *p, uint8_t type, uint32_t bytes)
{
	p[0] = type;
	p[1] = (uint8_t)bytes;
	return p + SLU_SYNC_WIRE_PARAMETER;
}

static bool has_local(const struct slu_sync_record *r)
{
	return r->local_port != r->client_port || memcmp(r->local, r->client, sizeof(r->local)) != 0;
}

/* Whether a kernel may take the session for one of its own: it would forward it just as we do. */
static bool kernel_may_take(const struct slu_sync_record *r)
{
	bool known = r->mode == SLU_MODE_NAT || r->mode == SLU_MODE_DR || r->mode == SLU_MODE_TUN;

	return known && r->kind == SLU_SYNC_SESSION && r->vpc == 0 && !has_local(r);
}

/* Reports and ends say nothing of a life: their extensions are those of revision 1. */
static uint8_t revision_of(const struct slu_sync_record *r, uint8_t revision)
{
	return revision >= 2 && r->kind == SLU_SYNC_SESSION && r->life_s ? 2 : 1;
}

static void put_extension(
	uint8_t *p, const struct slu_sync_record *r, uint8_t revision, uint32_t bytes, uint32_t local_bytes)
{
	const uint32_t life_s = htobe32(r->life_s);
	const struct slu_sync_wire_extension e = {
		.revision = revision,
		.kind = r->kind,
		.mode = (uint8_t)mode_to_wire(r->mode),
		.flags = flags_to_wire(r->flags) | (local_bytes ? SLU_SYNC_WIRE_FLAG_LOCAL : 0),
		.version = htobe16(r->version),
		.local_port = r->local_port,
		.creator_vpc = htobe32((uint32_t)r->creator << 24 | (r->vpc & SLU_VPC_MAX)),
		.age_ms = htobe32(r->age_ms),
	};
	uint8_t optional = kernel_may_take(r) ? SLU_SYNC_WIRE_OPTIONAL : 0;

	p = put_parameter(p, SLU_SYNC_WIRE_EXTENSION | optional, bytes);
	memcpy(p, &e, sizeof(e));
	memcpy(p + sizeof(e), r->local, local_bytes);
	if (revision >= 2)
		memcpy(p + sizeof(e) + local_bytes, &life_s, SLU_SYNC_WIRE_LIFE);
}

int slu_codec_add(struct slu_codec_writer *w, const struct slu_sync_record *r, uint8_t revision)
{
	uint32_t plain = r->family == 6 ? SLU_SYNC_WIRE_SESSION6 : SLU_SYNC_WIRE_SESSION4, size = plain;
	uint32_t extension = 0, local_bytes = 0;
	uint8_t *p;

	if ((r->family != 4 && r->family != 6) || r->kind > SLU_SYNC_ASK || mode_to_wire(r->mode) < 0)
		return -EINVAL;
	if ((!revision && !kernel_may_take(r)) || (revision < 2 && r->kind == SLU_SYNC_ASK))
		return -ENOTSUP;
	if (revision) {
		revision = revision_of(r, revision);
		local_bytes = !has_local(r) ? 0 : r->family == 6 ? 16 : 4;
		extension = (uint32_t)sizeof(struct slu_sync_wire_extension) + local_bytes +
			    (revision >= 2 ? SLU_SYNC_WIRE_LIFE : 0);
		size += SLU_SYNC_WIRE_PARAMETER + extension;
	}
	p = open_session(w, size);
	if (!p)
		return -ENOSPC;
	put_session(p, r, size);
	if (revision)
		put_extension(p + plain, r, revision, extension, local_bytes);
	if (revision > w->revision)
		w->revision = revision;
	return 0;
}

int slu_codec_add_heartbeat(struct slu_codec_writer *w, const struct slu_sync_wire_heartbeat *heartbeat,
	const void *text, uint32_t text_bytes)
{
	uint32_t pieces = (text_bytes + SLU_SYNC_WIRE_TEXT_PIECE - 1) / SLU_SYNC_WIRE_TEXT_PIECE;
	uint32_t size = SLU_SYNC_WIRE_SESSION4 + SLU_SYNC_WIRE_PARAMETER + (uint32_t)sizeof(*heartbeat) +
			pieces * SLU_SYNC_WIRE_PARAMETER + text_bytes;
	const struct slu_sync_wire_session s = {.version_size = htobe16((uint16_t)size)};
	const uint8_t *from = text;
	uint8_t *p;

	assert(text_bytes <= SLU_SYNC_WIRE_TEXT_MAX);
	p = open_session(w, size);
	if (!p)
		return -ENOSPC;
	memset(p, 0, SLU_SYNC_WIRE_SESSION4);
	memcpy(p, &s, sizeof(s));
	p = put_parameter(p + SLU_SYNC_WIRE_SESSION4, SLU_SYNC_WIRE_HEARTBEAT, sizeof(*heartbeat));
	memcpy(p, heartbeat, sizeof(*heartbeat));
	p += sizeof(*heartbeat);
	while (text_bytes > 0) {
		uint32_t n = text_bytes < SLU_SYNC_WIRE_TEXT_PIECE ? text_bytes : SLU_SYNC_WIRE_TEXT_PIECE;

		p = put_parameter(p, SLU_SYNC_WIRE_TEXT, n);
		memcpy(p, from, n);
		p += n;
		from += n;
		text_bytes -= n;
	}
	return 0;
}

static void put_trailer(struct slu_codec_writer *w, const struct slu_codec_trailer *trailer)
{
	uint32_t tag = trailer->algorithm == SLU_SYNC_WIRE_UNSIGNED ? 0 : SLU_SYNC_WIRE_TAG;
	uint32_t bytes = (uint32_t)sizeof(struct slu_sync_wire_trailer) + tag;
	uint64_t epoch = htobe64(trailer->epoch), sequence = htobe64(trailer->sequence);
	struct slu_sync_wire_trailer t = {.sender = trailer->sender, .algorithm = trailer->algorithm};
	uint8_t *p = put_parameter(w->bytes + w->used, SLU_SYNC_WIRE_TRAILER | SLU_SYNC_WIRE_OPTIONAL, bytes);
	slu_be16 size;

	memcpy(t.epoch, &epoch, sizeof(epoch));
	memcpy(t.sequence, &sequence, sizeof(sequence));
	memcpy(p, &t, sizeof(t));
	memset(p + sizeof(t), 0, tag);
	w->used += SLU_SYNC_WIRE_PARAMETER + bytes;
	size = htobe16((uint16_t)(w->used - w->last));
	memcpy(w->bytes + w->last + offsetof(struct slu_sync_wire_session, version_size), &size, sizeof(size));
}

uint32_t slu_codec_end(struct slu_codec_writer *w, const struct slu_codec_trailer *trailer)
{
	struct slu_sync_wire_header header = {.group = w->group, .count = w->count, .version = 1};

	assert(w->count > 0);
	if (trailer)
		put_trailer(w, trailer);
	header.size = htobe16((uint16_t)w->used);
	memcpy(w->bytes, &header, sizeof(header));
	return w->used;
}

/* ---------------------------------------------------------------- reading */

/* States that IPVS knows of a protocol; 0: it does not know the protocol. */
static unsigned int states_of(uint8_t protocol)
{
	switch (protocol) {
	case 6: /* TCP */
		return 11;
	case 132: /* SCTP */
		return 14;
	case 17: /* UDP */
	case 50: /* ESP */
	case 51: /* AH */
		return 1;
	default:
		return 0;
	}
}

/* What the parameters of a session say. */
struct parameters {
	const uint8_t *datagram_end;             /* where a trailer ends */
	bool sequence, engine_data, engine_name; /* there */
	bool engine_known;
	bool unknown; /* and mandatory */
	bool bad_extension, extended, heartbeat;
	struct slu_sync_wire_extension extension;
	uint8_t local[16];
	uint32_t life_s;
};

static void read_extension(struct parameters *p, bool ipv6, const uint8_t *data, uint32_t bytes)
{
	uint32_t n = ipv6 ? 16 : 4, at = sizeof(p->extension);

	if (p->extended || bytes < sizeof(p->extension)) {
		p->bad_extension = true;
		return;
	}
	memcpy(&p->extension, data, sizeof(p->extension));
	p->extended = true;
	if (p->extension.flags & SLU_SYNC_WIRE_FLAG_LOCAL)
		at += n;
	if (bytes < at + (p->extension.revision >= 2 ? SLU_SYNC_WIRE_LIFE : 0)) {
		p->bad_extension = true;
		return;
	}
	if (p->extension.flags & SLU_SYNC_WIRE_FLAG_LOCAL)
		memcpy(p->local, data + sizeof(p->extension), n);
	if (p->extension.revision >= 2)
		memcpy(&p->life_s, data + at, SLU_SYNC_WIRE_LIFE);
}

static void read_heartbeat(struct slu_codec_datagram *out, struct parameters *p, const uint8_t *data, uint32_t bytes)
{
	if (p->heartbeat || bytes < SLU_SYNC_WIRE_HEARTBEAT_MIN) {
		p->bad_extension = true;
		return;
	}
	p->heartbeat = true;
	out->heartbeat.speaks = 1;
	memcpy(&out->heartbeat, data, bytes < sizeof(out->heartbeat) ? bytes : sizeof(out->heartbeat));
}

static void read_text(struct slu_codec_datagram *out, struct parameters *p, const uint8_t *data, uint32_t bytes)
{
	if (!p->heartbeat || out->text_bytes + bytes > sizeof(out->text)) {
		p->bad_extension = true;
		return;
	}
	memcpy(out->text + out->text_bytes, data, bytes);
	out->text_bytes = (uint16_t)(out->text_bytes + bytes);
}

static bool parse_trailer(const uint8_t *data, uint32_t bytes, struct slu_codec_trailer *out)
{
	struct slu_sync_wire_trailer t;
	uint64_t epoch, sequence;

	if (bytes < sizeof(t))
		return false;
	memcpy(&t, data, sizeof(t));
	if (t.algorithm > SLU_SYNC_WIRE_HMAC_SHA256 || t.sender == 0 ||
		bytes != sizeof(t) + (t.algorithm == SLU_SYNC_WIRE_UNSIGNED ? 0 : SLU_SYNC_WIRE_TAG))
		return false;
	memcpy(&epoch, t.epoch, sizeof(epoch));
	memcpy(&sequence, t.sequence, sizeof(sequence));
	*out = (struct slu_codec_trailer){
		.sender = t.sender, .algorithm = t.algorithm, .epoch = be64toh(epoch), .sequence = be64toh(sequence)};
	return true;
}

bool slu_codec_find_trailer(const uint8_t *bytes, uint32_t count, struct slu_codec_trailer *trailer)
{
	static const uint32_t tags[] = {SLU_SYNC_WIRE_TAG, 0};

	for (unsigned int i = 0; i < 2; i++) {
		uint32_t data = (uint32_t)sizeof(struct slu_sync_wire_trailer) + tags[i];
		uint32_t whole = SLU_SYNC_WIRE_PARAMETER + data;
		const uint8_t *p;

		if (count < sizeof(struct slu_sync_wire_header) + SLU_SYNC_WIRE_SESSION4 + whole)
			continue;
		p = bytes + count - whole;
		if (p[0] == (SLU_SYNC_WIRE_TRAILER | SLU_SYNC_WIRE_OPTIONAL) && p[1] == data &&
			parse_trailer(p + SLU_SYNC_WIRE_PARAMETER, data, trailer))
			return true;
	}
	return false;
}

/* Parameters that Linux knows. Returns false for what makes it drop the rest of the datagram. */
static bool read_linux_parameter(struct parameters *p, uint8_t type, const uint8_t *data, uint32_t bytes)
{
	bool *there = type == SLU_SYNC_WIRE_SEQ_DATA  ? &p->sequence
		      : type == SLU_SYNC_WIRE_PE_DATA ? &p->engine_data
						      : &p->engine_name;

	if (*there || (type == SLU_SYNC_WIRE_SEQ_DATA && bytes != SLU_SYNC_WIRE_SEQUENCE_BYTES) ||
		(type == SLU_SYNC_WIRE_PE_NAME && bytes > SLU_SYNC_WIRE_PE_NAME_MAX))
		return false;
	*there = true;
	/* The one engine that Linux has. */
	if (type == SLU_SYNC_WIRE_PE_NAME)
		p->engine_known = bytes >= 3 && memcmp(data, "sip", 3) == 0 && (bytes == 3 || data[3] == 0);
	return true;
}

static bool read_parameter(struct slu_codec_datagram *out, struct parameters *p, bool ipv6, const uint8_t *data,
	uint8_t type, uint32_t bytes)
{
	switch (type & ~SLU_SYNC_WIRE_OPTIONAL) {
	case SLU_SYNC_WIRE_SEQ_DATA:
	case SLU_SYNC_WIRE_PE_DATA:
	case SLU_SYNC_WIRE_PE_NAME:
		return read_linux_parameter(p, type & (uint8_t)~SLU_SYNC_WIRE_OPTIONAL, data, bytes);
	case SLU_SYNC_WIRE_EXTENSION:
		read_extension(p, ipv6, data, bytes);
		return true;
	case SLU_SYNC_WIRE_HEARTBEAT:
		read_heartbeat(out, p, data, bytes);
		return true;
	case SLU_SYNC_WIRE_TEXT:
		read_text(out, p, data, bytes);
		return true;
	case SLU_SYNC_WIRE_TRAILER:
		/* Optional: one that is malformed, or not at the end, is none. */
		if (data + bytes == p->datagram_end)
			out->has_trailer = parse_trailer(data, bytes, &out->trailer);
		return true;
	default:
		p->unknown = p->unknown || !(type & SLU_SYNC_WIRE_OPTIONAL);
		return true;
	}
}

/*
 * Reads the parameters in [p, end). Returns false if the rest of the datagram goes. A kernel looks no further once it
 * met a mandatory one that it does not know; neither do we, so that a later revision may change what comes behind.
 */
static bool read_parameters(
	struct slu_codec_datagram *out, struct parameters *found, bool ipv6, const uint8_t *p, const uint8_t *end)
{
	while (p < end && !found->unknown) {
		uint32_t bytes;

		if (end - p < (int)SLU_SYNC_WIRE_PARAMETER)
			return false;
		bytes = p[1];
		if (bytes == 0 || bytes > (size_t)(end - p) - SLU_SYNC_WIRE_PARAMETER)
			return false;
		if (!read_parameter(out, found, ipv6, p + SLU_SYNC_WIRE_PARAMETER, p[0], bytes))
			return false;
		p += SLU_SYNC_WIRE_PARAMETER + bytes;
	}
	return true;
}

static int mode_of_method(uint32_t flags)
{
	switch ((enum slu_sync_wire_method)(flags & SLU_SYNC_WIRE_METHOD)) {
	case SLU_SYNC_WIRE_NAT:
		return SLU_MODE_NAT;
	case SLU_SYNC_WIRE_TUNNEL:
		return SLU_MODE_TUN;
	case SLU_SYNC_WIRE_ROUTE:
		return SLU_MODE_DR;
	default:
		return -1;
	}
}

static enum slu_codec_verdict apply_extension(struct slu_sync_record *r, const struct parameters *p)
{
	const struct slu_sync_wire_extension *e = &p->extension;
	uint32_t creator_vpc = be32toh(e->creator_vpc);
	int mode = mode_from_wire(e->mode);

	if (e->revision == 0 || e->kind > SLU_SYNC_WIRE_ASK || mode < 0)
		return SLU_CODEC_DROP_EXTENSION;
	r->kind = e->kind;
	r->mode = (uint8_t)mode;
	r->flags = flags_from_wire(e->flags);
	r->version = be16toh(e->version);
	r->creator = (uint8_t)(creator_vpc >> 24);
	r->vpc = creator_vpc & SLU_VPC_MAX;
	r->age_ms = be32toh(e->age_ms);
	r->life_s = e->kind == SLU_SYNC_WIRE_WHOLE ? be32toh(p->life_s) : 0;
	if (e->flags & SLU_SYNC_WIRE_FLAG_LOCAL) {
		r->local_port = e->local_port;
		memcpy(r->local, p->local, sizeof(r->local));
	}
	return SLU_CODEC_TAKEN;
}

/* In the order of Linux, so that a session that is wrong twice is dropped for the same reason. */
static enum slu_codec_verdict judge(
	struct slu_sync_record *r, uint32_t flags, uint16_t state, const struct parameters *p)
{
	unsigned int states = states_of(r->protocol);
	int mode = mode_of_method(flags);

	if (p->unknown)
		return SLU_CODEC_DROP_PARAMETER;
	if (!(flags & SLU_SYNC_WIRE_TEMPLATE)) {
		if (states == 0)
			return SLU_CODEC_DROP_PROTOCOL;
		if (state >= states)
			return SLU_CODEC_DROP_STATE;
	}
	if (p->engine_data && !p->engine_known)
		return SLU_CODEC_DROP_ENGINE;
	if (p->bad_extension)
		return SLU_CODEC_DROP_EXTENSION;
	if (flags & SLU_SYNC_WIRE_TEMPLATE)
		return SLU_CODEC_SKIP_TEMPLATE;
	if (flags & SLU_SYNC_WIRE_NO_CLIENT_PORT)
		return SLU_CODEC_SKIP_PORT;
	if (p->extended)
		return apply_extension(r, p);
	if (mode < 0)
		return SLU_CODEC_SKIP_METHOD;
	r->mode = (uint8_t)mode;
	return SLU_CODEC_TAKEN;
}

static void count_session(struct slu_codec_datagram *out, enum slu_codec_verdict verdict)
{
	out->count[verdict]++;
	if (verdict == SLU_CODEC_TAKEN)
		out->record_count++;
}

/* Fills the next record with the session's own fields. */
static struct slu_sync_record *fill_record(
	struct slu_codec_datagram *out, const struct slu_sync_wire_session *s, const uint8_t *addresses, bool ipv6)
{
	struct slu_sync_record *r = &out->records[out->record_count];
	uint32_t n = ipv6 ? 16 : 4;

	*r = (struct slu_sync_record){.kind = SLU_SYNC_SESSION,
		.family = ipv6 ? 6 : 4,
		.protocol = s->protocol,
		.state = (uint8_t)be16toh(s->state),
		.timeout_s = be32toh(s->timeout_s),
		.client_port = s->client_port,
		.virtual_port = s->virtual_port,
		.local_port = s->client_port,
		.backend_port = s->destination_port};
	memcpy(r->client, addresses, n);
	memcpy(r->virtual_ip, addresses + n, n);
	memcpy(r->backend, addresses + 2 * n, n);
	memcpy(r->local, addresses, n);
	return r;
}

/* Reads the session in [p, end). Returns TAKEN, or why the rest of the datagram goes. */
static enum slu_codec_verdict read_session(
	struct slu_codec_datagram *out, const uint8_t *p, const uint8_t *end, const uint8_t *datagram_end)
{
	struct parameters parameters = {.datagram_end = datagram_end};
	struct slu_sync_wire_session s;
	struct slu_sync_record *r;
	bool ipv6;

	memcpy(&s, p, sizeof(s));
	ipv6 = s.type & SLU_SYNC_WIRE_IPV6;
	if (!ipv6 && s.type != 0)
		return SLU_CODEC_CUT_TYPE;
	if (end - p < (int)(ipv6 ? SLU_SYNC_WIRE_SESSION6 : SLU_SYNC_WIRE_SESSION4))
		return SLU_CODEC_CUT_SIZE;
	if (!read_parameters(out, &parameters, ipv6, p + (ipv6 ? SLU_SYNC_WIRE_SESSION6 : SLU_SYNC_WIRE_SESSION4), end))
		return SLU_CODEC_CUT_PARAMETER;
	if (parameters.heartbeat && !parameters.unknown && !parameters.bad_extension) {
		out->has_heartbeat = true;
		return SLU_CODEC_TAKEN;
	}
	r = fill_record(out, &s, p + sizeof(s), ipv6);
	if (parameters.extended && parameters.extension.revision > out->revision)
		out->revision = parameters.extension.revision;
	count_session(out, judge(r, be32toh(s.flags), be16toh(s.state), &parameters));
	return SLU_CODEC_TAKEN;
}

static enum slu_codec_verdict read_version1(
	struct slu_codec_datagram *out, const uint8_t *bytes, uint32_t count, unsigned int sessions)
{
	uint32_t at = sizeof(struct slu_sync_wire_header);

	for (unsigned int i = 0; i < sessions; i++) {
		enum slu_codec_verdict verdict;
		uint16_t version_size;
		uint32_t size;

		if (at + SLU_SYNC_WIRE_SESSION4 > count)
			return SLU_CODEC_CUT_END;
		memcpy(&version_size, bytes + at + offsetof(struct slu_sync_wire_session, version_size),
			sizeof(version_size));
		version_size = be16toh(version_size);
		size = version_size & SLU_SYNC_WIRE_SIZE_MASK;
		if (at + size > count)
			return SLU_CODEC_CUT_END;
		if (version_size & ~SLU_SYNC_WIRE_SIZE_MASK)
			return SLU_CODEC_CUT_VERSION;
		verdict = read_session(out, bytes + at, bytes + at + size, bytes + count);
		if (verdict != SLU_CODEC_TAKEN)
			return verdict;
		at += align4(size);
	}
	return SLU_CODEC_TAKEN;
}

static enum slu_codec_verdict read_version0(
	struct slu_codec_datagram *out, const uint8_t *bytes, uint32_t count, unsigned int sessions)
{
	static const struct parameters none;
	uint32_t at = sizeof(struct slu_sync_wire_header0);

	for (unsigned int i = 0; i < sessions; i++) {
		struct slu_sync_wire_session0 s;
		struct slu_sync_wire_session as1;
		struct slu_sync_record *r;

		if (at + sizeof(s) > count)
			return SLU_CODEC_CUT_END;
		memcpy(&s, bytes + at, sizeof(s));
		at += sizeof(s);
		if (be16toh(s.flags) & SLU_SYNC_WIRE_SEQUENCE)
			at += SLU_SYNC_WIRE_SEQUENCE_BYTES;
		if (at > count)
			return SLU_CODEC_CUT_END;
		as1 = (struct slu_sync_wire_session){.protocol = s.protocol,
			.state = s.state,
			.client_port = s.client_port,
			.virtual_port = s.virtual_port,
			.destination_port = s.destination_port};
		r = fill_record(out, &as1, s.client, false);
		count_session(out, judge(r, be16toh(s.flags), be16toh(s.state), &none));
	}
	return SLU_CODEC_TAKEN;
}

static struct slu_sync_wire_header header_of(const uint8_t *bytes, uint32_t count)
{
	struct slu_sync_wire_header header = {0};

	memcpy(&header, bytes, count < sizeof(header) ? count : sizeof(header));
	return header;
}

enum slu_codec_verdict slu_codec_judge_header(const uint8_t *bytes, uint32_t count, uint8_t group)
{
	struct slu_sync_wire_header header;

	if (count < sizeof(struct slu_sync_wire_header0))
		return SLU_CODEC_SHORT;
	header = header_of(bytes, count);
	if (be16toh(header.size) != count)
		return SLU_CODEC_SIZE;
	return group != 0 && header.group != group ? SLU_CODEC_GROUP : SLU_CODEC_TAKEN;
}

static enum slu_codec_verdict read_datagram(
	struct slu_codec_datagram *out, const uint8_t *bytes, uint32_t count, uint8_t group)
{
	enum slu_codec_verdict verdict = slu_codec_judge_header(bytes, count, group);
	struct slu_sync_wire_header header;

	if (verdict != SLU_CODEC_TAKEN)
		return verdict;
	header = header_of(bytes, count);
	/* Whatever is not version 1 is 0, as the kernel has it: its count stands where 1 has a zero. */
	if (count < sizeof(header) || header.version != 1 || header.reserved != 0 || header.spare != 0)
		return read_version0(out, bytes, count, header.reserved);
	out->version = 1;
	return read_version1(out, bytes, count, header.count);
}

void slu_codec_read(const uint8_t *bytes, uint32_t count, uint8_t group, struct slu_codec_datagram *out)
{
	memset(out, 0, offsetof(struct slu_codec_datagram, text));
	out->record_count = 0;
	out->verdict = read_datagram(out, bytes, count, group);
	if (out->verdict != SLU_CODEC_TAKEN)
		out->count[out->verdict]++;
	if (!out->has_heartbeat)
		out->text_bytes = 0;
	if (out->has_trailer)
		for (uint32_t i = 0; i < out->record_count; i++)
			out->records[i].sender = out->trailer.sender;
}
