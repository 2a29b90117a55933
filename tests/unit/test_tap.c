/*
 * The exception TAP, the addresses on it, its neighbours, and the wall against
 * the kernel, for real: in a network namespace of the test's own. Without the right to make
 * one, every test is skipped.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/control/ip.h"
#include "host/ports/addresses.h"
#include "host/ports/isolate.h"
#include "host/ports/mirror.h"
#include "host/ports/neighbours.h"
#include "host/ports/tap.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x51};
static bool allowed;

static struct slu_address address(const char *text, uint8_t bits, bool prefix_route, unsigned int ifindex)
{
	struct slu_address a = {.bits = bits, .prefix_route = prefix_route, .ifindex = ifindex};

	assert_int_equal(slu_ip_parse(text, &a.ip), 0);
	return a;
}

static int setup(void **state)
{
	struct slu_tap *tap;

	if (!allowed) {
		*state = NULL;
		return 0;
	}
	tap = calloc(1, sizeof(*tap));
	assert_int_equal(slu_tap_open(tap, "slutest0", mac, 1400), 0);
	*state = tap;
	return 0;
}

static int teardown(void **state)
{
	if (*state) {
		slu_tap_close(*state);
		assert_int_equal(system("ip link delete slutest0"), 0);
		free(*state);
	}
	return 0;
}

static bool shell(const char *command)
{
	return system(command) == 0;
}

/* The next frame of the EtherType that the kernel sends, within a second. */
static ssize_t next_frame(const struct slu_tap *tap, uint8_t *frame, size_t room, uint16_t type)
{
	struct pollfd poller = {.fd = tap->fd, .events = POLLIN};

	while (poll(&poller, 1, 1000) > 0) {
		ssize_t bytes = slu_tap_read(tap, frame, room);

		if (bytes >= 14 && (frame[12] << 8 | frame[13]) == type)
			return bytes;
	}
	return -1;
}

static uint32_t sum(const uint8_t *bytes, size_t count)
{
	uint32_t total = 0;

	for (size_t i = 0; i + 1 < count; i += 2)
		total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (count & 1)
		total += (uint32_t)bytes[count - 1] << 8;
	return total;
}

static bool udp_checksum_is_right(const uint8_t *frame)
{
	const struct iphdr *ip = (const struct iphdr *)(frame + 14);
	const uint8_t *udp = frame + 14 + ip->ihl * 4;
	uint32_t bytes = (uint32_t)ntohs(ip->tot_len) - ip->ihl * 4u;
	uint32_t total = sum((const uint8_t *)&ip->saddr, 8) + 17 + bytes + sum(udp, bytes);

	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total == 0xffff && (udp[6] || udp[7]);
}

static void the_tap_has_the_ports_address_and_mtu_and_is_up(void **state)
{
	struct slu_tap *tap = *state;
	struct ifreq request = {0};
	int sock;

	if (!tap)
		skip();
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	strcpy(request.ifr_name, "slutest0");
	assert_int_equal(ioctl(sock, SIOCGIFHWADDR, &request), 0);
	assert_memory_equal(request.ifr_hwaddr.sa_data, mac, 6);
	assert_int_equal(ioctl(sock, SIOCGIFMTU, &request), 0);
	assert_int_equal(request.ifr_mtu, 1400);
	assert_int_equal(ioctl(sock, SIOCGIFFLAGS, &request), 0);
	assert_true(request.ifr_flags & IFF_UP);
	close(sock);
}

static void the_tap_outlives_its_process_with_addresses_and_routes(void **state)
{
	struct slu_tap *tap = *state;

	if (!tap)
		skip();
	assert_true(shell("ip address add 198.18.7.1/24 dev slutest0"));
	slu_tap_close(tap);
	assert_true(shell("ip address show slutest0 | grep -q 198.18.7.1"));
	assert_int_equal(slu_tap_open(tap, "slutest0", mac, 1400), 0);
	assert_true(shell("ip route show 198.18.7.0/24 | grep -q slutest0"));
}

static void a_second_owner_is_refused(void **state)
{
	struct slu_tap *tap = *state, second;

	if (!tap)
		skip();
	assert_int_equal(slu_tap_open(&second, "slutest0", mac, 1400), -EBUSY);
	assert_int_equal(second.fd, -1);
	assert_int_equal(slu_tap_open(&second, "a_name_that_is_too_long", mac, 1400), -ENAMETOOLONG);
}

/* A lazy kernel would leave the checksum to a device that can compute it. */
static void the_kernel_finishes_checksums_before_it_hands_frames_over(void **state)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr("198.18.7.2")};
	struct slu_tap *tap = *state;
	uint8_t frame[2048];
	int sock;

	if (!tap)
		skip();
	assert_true(shell("ip address add 198.18.7.1/24 dev slutest0"));
	assert_true(shell("ip neighbour add 198.18.7.2 lladdr 02:00:00:00:00:99 dev slutest0"));
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(sendto(sock, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	assert_int_equal(next_frame(tap, frame, sizeof(frame), ETHERTYPE_IP), 14 + 20 + 8 + 5);
	assert_true(udp_checksum_is_right(frame));
	frame[45] ^= 1;
	assert_false(udp_checksum_is_right(frame));
	close(sock);
}

/* A veth hands frames over with unfinished checksums, and routing does not finish them. */
static void forwarded_frames_come_finished_too(void **state)
{
	struct slu_tap *tap = *state;
	uint8_t frame[2048];

	if (!tap)
		skip();
	assert_true(shell(
		"ip address add 198.18.7.1/24 dev slutest0 && ip netns add slutest$PPID &&"
		"ip link add v0 type veth peer name v1 netns slutest$PPID && ip address add 198.18.8.1/24 dev v0 &&"
		"ip link set v0 up && ip -n slutest$PPID link set v1 up &&"
		"ip -n slutest$PPID address add 198.18.8.2/24 dev v1 &&"
		"ip -n slutest$PPID route add default via 198.18.8.1 && echo 1 >/proc/sys/net/ipv4/ip_forward &&"
		"ip neighbour add 198.18.7.2 lladdr 02:00:00:00:00:99 dev slutest0 &&"
		"ip netns exec slutest$PPID bash -c 'echo -n hello >/dev/udp/198.18.7.2/9'"));
	assert_int_equal(next_frame(tap, frame, sizeof(frame), ETHERTYPE_IP), 14 + 20 + 8 + 5);
	assert_true(udp_checksum_is_right(frame));
	assert_true(shell("ip netns delete slutest$PPID; ip link delete v0 2>/dev/null; true"));
}

static void addresses_follow_the_configuration_and_spare_the_operators(void **state)
{
	struct slu_tap *tap = *state;
	struct slu_netlink netlink;
	struct slu_address wanted[3];
	uint32_t changed;

	if (!tap)
		skip();
	assert_int_equal(slu_netlink_open(&netlink), 0);
	assert_true(shell("ip address add 198.18.9.9/24 dev slutest0"));
	wanted[0] = address("198.18.7.1", 24, true, tap->ifindex);
	wanted[1] = address("198.18.7.100", 32, false, tap->ifindex);
	wanted[2] = address("fd00:7::100", 128, false, tap->ifindex);
	assert_int_equal(slu_addresses_apply(&netlink, wanted, 3, &tap->ifindex, 1, &changed), 0);
	assert_int_equal(changed, 3);
	assert_true(shell("ip address show slutest0 | grep 198.18.7.100/32 | grep -q noprefixroute"));
	assert_true(shell("ip route show 198.18.7.0/24 | grep -q slutest0"));
	assert_true(shell("ip -6 address show slutest0 | grep -q fd00:7::100/128"));
	assert_int_equal(slu_addresses_apply(&netlink, wanted, 3, &tap->ifindex, 1, &changed), 0);
	assert_int_equal(changed, 0);
	/* Another process, which knows nothing but the marks, removes what is no longer wanted. */
	slu_netlink_close(&netlink);
	assert_int_equal(slu_netlink_open(&netlink), 0);
	wanted[0] = address("198.18.7.1", 24, true, tap->ifindex);
	assert_int_equal(slu_addresses_apply(&netlink, wanted, 1, &tap->ifindex, 1, &changed), 0);
	assert_int_equal(changed, 2);
	assert_false(shell("ip address show slutest0 | grep -qE '198.18.7.100|fd00:7::100'"));
	assert_true(shell("ip address show slutest0 | grep -q 198.18.9.9/24"));
	slu_netlink_close(&netlink);
}

static void using_a_neighbour_makes_the_kernel_ask_for_it(void **state)
{
	struct slu_tap *tap = *state;
	struct slu_netlink netlink;
	struct slu_ip neighbour;
	uint8_t frame[2048];

	if (!tap)
		skip();
	assert_true(shell("ip address add 198.18.7.1/24 dev slutest0"));
	assert_int_equal(slu_netlink_open(&netlink), 0);
	assert_int_equal(slu_ip_parse("198.18.7.77", &neighbour), 0);
	assert_int_equal(slu_neighbours_use(&netlink, tap->ifindex, &neighbour), 0);
	assert_true(next_frame(tap, frame, sizeof(frame), ETHERTYPE_ARP) >= 42);
	assert_memory_equal(frame + 38, neighbour.bytes, 4);
	slu_netlink_close(&netlink);
}

static void take(void *context, const struct nlmsghdr *message)
{
	slu_mirror_message(context, message, true);
}

static void saved_neighbours_come_back_stale_and_nonsense_is_skipped(void **state)
{
	struct slu_tap *tap = *state;
	struct slu_port port = {0};
	struct slu_netlink netlink;
	struct slu_mirror mirror;
	struct slu_ip key;
	char path[] = "/tmp/slutestXXXXXX";
	FILE *file;
	int fd;

	if (!tap)
		skip();
	port.tap = *tap;
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(shell("ip address add 198.18.7.1/24 dev slutest0"));
	assert_true(shell("ip neighbour add 198.18.7.5 lladdr 02:00:00:00:00:05 dev slutest0"));
	assert_int_equal(slu_netlink_open(&netlink), 0);
	assert_int_equal(slu_mirror_init(&mirror, 1), 0);
	slu_mirror_set_link(&mirror, 0, tap->ifindex, 0);
	assert_int_equal(slu_netlink_dump(&netlink, RTM_GETNEIGH, AF_UNSPEC, take, NULL, &mirror), 0);
	assert_int_equal(slu_neighbours_save(path, &mirror, &port), 0);
	assert_true(shell("ip neighbour flush dev slutest0 nud all"));
	file = fopen(path, "a");
	fputs("slutest0 198.18.7.6 02:00\nother0 198.18.7.7 02:00:00:00:00:07\nslutest0 nonsense 02:00:00:00:00:07\n\n",
		file);
	fclose(file);
	slu_mirror_clear_neighbours(&mirror);
	assert_int_equal(slu_neighbours_load(path, &netlink, &port, 1), 1);
	assert_int_equal(slu_netlink_dump(&netlink, RTM_GETNEIGH, AF_UNSPEC, take, NULL, &mirror), 0);
	assert_int_equal(slu_ip_parse("198.18.7.5", &key), 0);
	assert_non_null(slu_mirror_find_neighbour(&mirror, 0, &key));
	assert_int_equal(slu_mirror_find_neighbour(&mirror, 0, &key)->state, NUD_STALE);
	slu_mirror_fini(&mirror);
	slu_netlink_close(&netlink);
	close(fd);
	unlink(path);
}

static void an_isolated_interface_answers_nothing(void **state)
{
	if (!*state)
		skip();
	assert_true(
		shell("ip netns add slutest$PPID && ip link add v0 type veth peer name v1 netns slutest$PPID &&"
		      "ip address add 198.18.8.1/24 dev v0 && ip link set v0 up && ip -n slutest$PPID link set v1 up &&"
		      "ip -n slutest$PPID address add 198.18.8.2/24 dev v1 &&"
		      "ip netns exec slutest$PPID ping -q -c 1 -W 1 198.18.8.1 >/dev/null"));
	assert_int_equal(slu_isolate_interface("v0"), 0);
	assert_int_equal(slu_isolate_interface("v0"), 0);
	assert_false(shell("ip netns exec slutest$PPID ping -q -c 1 -W 1 198.18.8.1 >/dev/null"));
	assert_int_equal(slu_isolate_interface("nosuch0"), -ENODEV);
	assert_true(shell("ip netns delete slutest$PPID; ip link delete v0 2>/dev/null; true"));
}

static void the_interface_of_an_af_packet_device_is_found(void **state)
{
	static const struct {
		const char *device, *interface;
	} rows[] = {{"net_af_packet0,iface=eth1", "eth1"},
		{"net_af_packet3,qpairs=2,iface=veth7,framesz=4096", "veth7"}, {"eth_af_packet0,iface=x", "x"},
		{"net_af_packet0,iface=", NULL}, {"net_af_packet0", NULL},
		{"net_af_packet0,iface=a_name_that_is_too_long", NULL}, {"net_sluice0,sock=/run/x", NULL},
		{"net_af_xdp0,iface=eth1", NULL}};
	char name[IFNAMSIZ];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(slu_isolate_find(rows[i].device, name), rows[i].interface ? 0 : -ENOENT);
		if (rows[i].interface)
			assert_string_equal(name, rows[i].interface);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(the_tap_has_the_ports_address_and_mtu_and_is_up),
		T(the_tap_outlives_its_process_with_addresses_and_routes), T(a_second_owner_is_refused),
		T(the_kernel_finishes_checksums_before_it_hands_frames_over), T(forwarded_frames_come_finished_too),
		T(addresses_follow_the_configuration_and_spare_the_operators),
		T(using_a_neighbour_makes_the_kernel_ask_for_it),
		T(saved_neighbours_come_back_stale_and_nonsense_is_skipped), T(an_isolated_interface_answers_nothing),
		cmocka_unit_test(the_interface_of_an_af_packet_device_is_found)};

	allowed = access("/dev/net/tun", W_OK) == 0 && unshare(CLONE_NEWNET) == 0 && shell("ip link set lo up");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
