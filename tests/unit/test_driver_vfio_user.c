/* The client against raw bytes, written from the specification and not by a server of the same hand. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver/base/vfio_user.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define ID(n) (n), 0
#define REPLY 1, 0, 0, 0, 0, 0, 0, 0
#define ERROR(code) 0x21, 0, 0, 0, (code), 0, 0, 0

struct fixture {
	int peer;
	struct slu_vfio_user *client;
};

/* Answers are written before they are asked for: the socket keeps them. */
static void answer(int peer, const void *bytes, size_t count, const int *fds, unsigned fd_count)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = {0};
	struct iovec part = {(void *)(uintptr_t)bytes, count};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd_count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	assert_int_equal(sendmsg(peer, &message, 0), count);
}

/* The client sent exactly this, with so many descriptors. */
static void expect_request(int peer, const void *bytes, size_t count, unsigned fd_count)
{
	uint8_t got[8192];
	char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec part = {got, count};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	unsigned fds = 0;

	assert_int_equal(recvmsg(peer, &message, MSG_WAITALL), count);
	assert_memory_equal(got, bytes, count);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			close(fd);
		}
	}
	assert_int_equal(fds, fd_count);
	assert_int_equal(recv(peer, got, 1, MSG_DONTWAIT), -1); /* and nothing more */
}

static const char version_json[] = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}";

static int connect_with(struct fixture *f, const char *capabilities)
{
	int pair[2];
	uint8_t reply[512] = {ID(1), 1, 0, 0, 0, 0, 0, REPLY, 0, 0, 1, 0};
	size_t bytes = 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	if (capabilities) {
		memcpy(reply + 20, capabilities, strlen(capabilities) + 1);
		bytes += strlen(capabilities) + 1;
	}
	reply[4] = (uint8_t)bytes;
	f->peer = pair[1];
	answer(f->peer, reply, bytes, NULL, 0);
	return slu_vfio_user_attach(pair[0], &f->client);
}

static void drain(int peer)
{
	uint8_t waste[1024];

	while (recv(peer, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(connect_with(f, "{\"capabilities\": {\"max_msg_fds\": 2}}"), 0);
	drain(f->peer);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	slu_vfio_user_close(f->client);
	close(f->peer);
	free(f);
	return 0;
}

static void attach__version_is_proposed__as_the_specification_lays_it_out(void **state)
{
	(void)state;
	struct fixture f;
	uint8_t request[20 + sizeof(version_json)] = {
		ID(1), 1, 0, sizeof(request), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};

	memcpy(request + 20, version_json, sizeof(version_json));
	assert_int_equal(connect_with(&f, NULL), 0);
	expect_request(f.peer, request, sizeof(request), 0);
	slu_vfio_user_close(f.client);
	close(f.peer);
}

static void attach__other_major_or_greater_minor__is_refused(void **state)
{
	(void)state;
	static const uint8_t versions[][4] = {{1, 0, 0, 0}, {0, 0, 2, 0}};

	for (unsigned i = 0; i < 2; i++) {
		struct slu_vfio_user *client;
		uint8_t reply[20] = {ID(1), 1, 0, 20, 0, 0, 0, REPLY};
		int pair[2];

		memcpy(reply + 16, versions[i], 4);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		answer(pair[1], reply, sizeof(reply), NULL, 0);
		assert_int_equal(slu_vfio_user_attach(pair[0], &client), -EPROTO);
		close(pair[1]);
	}
}

static void attach__capabilities_without_end__is_refused(void **state)
{
	(void)state;
	struct slu_vfio_user *client;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	answer(pair[1], BYTES(ID(1), 1, 0, 22, 0, 0, 0, REPLY, 0, 0, 1, 0, '{', '}'), NULL, 0);
	assert_int_equal(slu_vfio_user_attach(pair[0], &client), -EPROTO);
	close(pair[1]);
}

static void dma_map__sends_the_32_bytes_and_the_descriptor(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, 0);

	answer(f->peer, BYTES(ID(2), 2, 0, 16, 0, 0, 0, REPLY), NULL, 0);
	assert_int_equal(slu_vfio_user_dma_map(f->client, 0x1122334455667000, 0x200000, fd, 0x3000), 0);
	expect_request(f->peer,
		BYTES(ID(2), 2, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* header */
			32, 0, 0, 0, 3, 0, 0, 0,                        /* argsz, readable and writeable */
			0, 0x30, 0, 0, 0, 0, 0, 0,                      /* offset in the file */
			0, 0x70, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,    /* address */
			0, 0, 0x20, 0, 0, 0, 0, 0),                     /* size */
		1);
	close(fd);
}

static void dma_unmap__sends_the_24_bytes__and_takes_the_entry_back(void **state)
{
	struct fixture *f = *state;

	answer(f->peer,
		BYTES(ID(2), 3, 0, 40, 0, 0, 0, REPLY, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x20, 0,
			0, 0, 0, 0, 0),
		NULL, 0);
	assert_int_equal(slu_vfio_user_dma_unmap(f->client, 0x1000, 0x2000), 0);
	expect_request(f->peer,
		BYTES(ID(2), 3, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0,
			0, 0, 0x20, 0, 0, 0, 0, 0, 0),
		0);
}

static void read__four_bytes__come_from_the_reply(void **state)
{
	struct fixture *f = *state;
	uint32_t value = 0;

	answer(f->peer,
		BYTES(ID(2), 9, 0, 36, 0, 0, 0, REPLY, 8, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0xEF, 0xBE, 0xAD,
			0xDE),
		NULL, 0);
	assert_int_equal(slu_vfio_user_read(f->client, 2, 8, &value, 4), 0);
	assert_int_equal(value, 0xDEADBEEF);
	expect_request(f->peer,
		BYTES(ID(2), 9, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0),
		0);
}

static void write__four_bytes__follow_the_request(void **state)
{
	struct fixture *f = *state;
	const uint32_t value = 0x01020304;

	answer(f->peer, BYTES(ID(2), 10, 0, 32, 0, 0, 0, REPLY, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0),
		NULL, 0);
	assert_int_equal(slu_vfio_user_write(f->client, 0, 0x14, &value, 4), 0);
	expect_request(f->peer,
		BYTES(ID(2), 10, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0,
			0, 4, 3, 2, 1),
		0);
}

static void region_info__of_a_mappable_region__brings_its_descriptor(void **state)
{
	struct fixture *f = *state;
	struct slu_vfio_user_region region;
	int fd = eventfd(0, 0);

	answer(f->peer,
		BYTES(ID(2), 5, 0, 48, 0, 0, 0, REPLY, 32, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0,
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		&fd, 1);
	assert_int_equal(slu_vfio_user_region_info(f->client, 2, &region), 0);
	assert_int_equal(region.bytes, 0x1000);
	assert_true(region.fd >= 0);
	close(region.fd);
	close(fd);
}

static void region_io_fd__takes_the_ioeventfd_and_closes_the_rest(void **state)
{
	struct fixture *f = *state;
	int fds[2] = {eventfd(0, 0), eventfd(0, EFD_NONBLOCK)}, got;
	const uint64_t five = 5;
	uint64_t value = 0;

	answer(f->peer,
		BYTES(ID(2), 6, 0, 72, 0, 0, 0, REPLY, 56, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0,
			0,                                                 /* head: one sub-region */
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, /* offset, size */
			1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), /* fd 1, ioeventfd */
		fds, 2);
	assert_int_equal(slu_vfio_user_region_io_fd(f->client, 2, &got), 0);
	assert_int_equal(write(got, &five, 8), 8);
	assert_int_equal(read(fds[1], &value, 8), 8); /* it is the second one that came */
	assert_int_equal(value, 5);
	close(got);
	close(fds[0]);
	close(fds[1]);
}

static void region_io_fd__index_of_a_descriptor_that_did_not_come__is_refused(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, 0), got;

	answer(f->peer,
		BYTES(ID(2), 6, 0, 72, 0, 0, 0, REPLY, 56, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
			0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
			0, 0, 0, 0),
		&fd, 1);
	assert_int_equal(slu_vfio_user_region_io_fd(f->client, 2, &got), -EPROTO);
	close(fd);
}

static void set_irqs__more_than_the_server_takes__go_in_several_messages(void **state)
{
	struct fixture *f = *state;
	int fds[3] = {eventfd(0, 0), eventfd(0, 0), eventfd(0, 0)};

	answer(f->peer, BYTES(ID(2), 8, 0, 16, 0, 0, 0, REPLY), NULL, 0);
	answer(f->peer, BYTES(ID(3), 8, 0, 16, 0, 0, 0, REPLY), NULL, 0);
	assert_int_equal(slu_vfio_user_set_irqs(f->client, 2, fds, 3), 0);
	uint8_t got[72];
	assert_int_equal(recv(f->peer, got, 36, MSG_WAITALL), 36); /* its two descriptors are dropped here */
	assert_int_equal(got[16], 20);                             /* argsz */
	assert_int_equal(got[20], 0x24);                           /* eventfd, trigger */
	assert_int_equal(got[28], 0);                              /* start */
	assert_int_equal(got[32], 2);                              /* count */
	expect_request(f->peer,
		BYTES(ID(3), 8, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0x24, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0,
			0, 1, 0, 0, 0),
		1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void any_call__server_answers_with_an_error__returns_it_and_goes_on(void **state)
{
	struct fixture *f = *state;

	answer(f->peer, BYTES(ID(2), 13, 0, 16, 0, 0, 0, ERROR(EINVAL)), NULL, 0);
	answer(f->peer, BYTES(ID(3), 13, 0, 16, 0, 0, 0, ERROR(0)), NULL, 0);
	answer(f->peer, BYTES(ID(4), 13, 0, 16, 0, 0, 0, REPLY), NULL, 0);
	assert_int_equal(slu_vfio_user_reset(f->client), -EINVAL);
	assert_int_equal(slu_vfio_user_reset(f->client), -EIO);
	assert_int_equal(slu_vfio_user_reset(f->client), 0);
}

static void any_call__server_command_in_between__is_refused_politely(void **state)
{
	struct fixture *f = *state;

	answer(f->peer,
		BYTES(0x77, 0x66, 11, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 0, 0, 0, 0, 0,
			0, 0),
		NULL, 0);
	answer(f->peer, BYTES(ID(2), 13, 0, 16, 0, 0, 0, REPLY), NULL, 0);
	assert_int_equal(slu_vfio_user_reset(f->client), 0);
	expect_request(f->peer,
		BYTES(ID(2), 13, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77, 0x66, 11, 0, 16, 0, 0, 0,
			ERROR(EOPNOTSUPP)),
		0);
}

/* A row: what comes instead of the reply to a reset (id 2, command 13). */
static void any_call__nonsense_instead_of_a_reply__closes_the_connection(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		uint8_t bytes[24];
		size_t count;
	} rows[] = {
		{"another id", {ID(9), 13, 0, 16, 0, 0, 0, REPLY}, 16},
		{"another command", {ID(2), 12, 0, 16, 0, 0, 0, REPLY}, 16},
		{"a size below the header's", {ID(2), 13, 0, 15, 0, 0, 0, REPLY}, 16},
		{"a payload where none belongs", {ID(2), 13, 0, 20, 0, 0, 0, REPLY, 1, 2, 3, 4}, 20},
		{"a size of 4 GiB", {ID(2), 13, 0, 0xFF, 0xFF, 0xFF, 0xFF, REPLY}, 16},
		{"an error with a payload of 4 GiB", {ID(2), 13, 0, 0xFF, 0xFF, 0xFF, 0xFF, ERROR(5)}, 16},
		{"a command of 4 GiB", {ID(2), 13, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0}, 16},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		assert_int_equal(connect_with(&f, NULL), 0);
		answer(f.peer, rows[i].bytes, rows[i].count, NULL, 0);
		int error = slu_vfio_user_reset(f.client);
		if (error != -EPROTO)
			fail_msg("%s: %d", rows[i].what, error);
		assert_int_equal(slu_vfio_user_reset(f.client), -ENODEV);
		slu_vfio_user_close(f.client);
		close(f.peer);
	}
}

static void any_call__server_gone__returns_enodev(void **state)
{
	struct fixture *f = *state;

	shutdown(f->peer, SHUT_RDWR);
	assert_int_equal(slu_vfio_user_reset(f->client), -ENODEV);
	assert_int_equal(slu_vfio_user_dma_unmap(f->client, 0, 4096), -ENODEV);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attach__version_is_proposed__as_the_specification_lays_it_out),
		cmocka_unit_test(attach__other_major_or_greater_minor__is_refused),
		cmocka_unit_test(attach__capabilities_without_end__is_refused),
		TEST(dma_map__sends_the_32_bytes_and_the_descriptor),
		TEST(dma_unmap__sends_the_24_bytes__and_takes_the_entry_back),
		TEST(read__four_bytes__come_from_the_reply),
		TEST(write__four_bytes__follow_the_request),
		TEST(region_info__of_a_mappable_region__brings_its_descriptor),
		TEST(region_io_fd__takes_the_ioeventfd_and_closes_the_rest),
		TEST(region_io_fd__index_of_a_descriptor_that_did_not_come__is_refused),
		TEST(set_irqs__more_than_the_server_takes__go_in_several_messages),
		TEST(any_call__server_answers_with_an_error__returns_it_and_goes_on),
		TEST(any_call__server_command_in_between__is_refused_politely),
		cmocka_unit_test(any_call__nonsense_instead_of_a_reply__closes_the_connection),
		TEST(any_call__server_gone__returns_enodev),
	};

	return cmocka_run_group_tests_name("driver_vfio_user", tests, NULL, NULL);
}
