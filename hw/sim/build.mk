# The Verilated card as a C library, and sluice-nic, which serves it over vfio-user.
NIC_RTL_DIR ?= hw/rtl
NIC_RTL_PKGS = $(wildcard $(NIC_RTL_DIR)/slu_regs_pkg.sv $(NIC_RTL_DIR)/slu_pkg.sv)
NIC_RTL = $(NIC_RTL_PKGS) $(filter-out $(NIC_RTL_PKGS),$(wildcard $(NIC_RTL_DIR)/*.sv)) $(NIC_RTL_GENERATED)
NIC_PARAMS = -GNumPorts=$(NIC_PORTS) -GQueuesPerPort=$(NIC_QUEUES_PER_PORT) -GBucketBits=$(NIC_BUCKET_BITS) \
	-GFlowIdBits=$(NIC_FLOW_ID_BITS) -GNextHopBits=$(NIC_NEXT_HOP_BITS)
VERILATOR ?= verilator
VERILATOR_ROOT_DIR = $(shell $(VERILATOR) --getenv VERILATOR_ROOT)
# clang makes the model several times faster than gcc.
SIM_CXX ?= clang++
SIM_DIR := $(B)/hw/sim
SIM_CXXFLAGS = -O3 -g1 -std=gnu++17 -fPIC -Iinclude -Ihw/sim -march=x86-64-v2 -fno-exceptions \
	-DSLU_NIC_MODEL_BUCKET_BITS=$(NIC_BUCKET_BITS) -DSLU_NIC_MODEL_FLOW_ID_BITS=$(NIC_FLOW_ID_BITS)

# Verilator sets the address and data of each array write to 0 in every clock; they are only used after a write set them.
SIM_UNZERO = -e '/^ *__Vdlyv(val|dim)[A-Za-z0-9_]* = 0;$$/d' -e '/^ *VL_ZERO_W\([0-9]+, __Vdlyvval[A-Za-z0-9_]*\);$$/d'

# $(1): folder of the variant, $(2): extra options of verilator, $(3): extra options of the compiler, $(4): what these need.
define nic_model
$(1)/obj/Vsluice_nic.mk: $$(NIC_RTL) hw/build.mk hw/sim/build.mk
	@mkdir -p $(1)
	$$(VERILATOR) --cc --compiler clang -O3 -DSLU_SIM_CLOCK --x-assign fast --x-initial fast -Wno-fatal -Wno-lint $(RTL_LINT) --top-module sluice_nic \
		$$(NIC_PARAMS) $(2) -I$$(NIC_RTL_DIR) --Mdir $(1)/obj $$(NIC_RTL)
	@sed -i -E $$(SIM_UNZERO) $(1)/obj/*DepSet*.cpp
	@touch $$@
$(1)/obj/Vsluice_nic__ALL.a: $(1)/obj/Vsluice_nic.mk $(4)
	@rm -f $(1)/obj/*.o
	$$(MAKE) -C $(1)/obj -f Vsluice_nic.mk CXX=$$(SIM_CXX) OPT_FAST="-O3 -march=x86-64-v2 -fPIC $(3)" OPT_SLOW="-O1 -fPIC" \
		OPT_GLOBAL="-O2 -fPIC" Vsluice_nic__ALL.a verilated.o verilated_threads.o $(if $(2),verilated_fst_c.o)
$(1)/libslu_nic_model.a: $(1)/obj/Vsluice_nic__ALL.a $(4) hw/sim/nic_model.cc hw/sim/nic_model.h include/sluice/nic_regs.h
	$$(SIM_CXX) $$(SIM_CXXFLAGS) $(3) -Wall -Wextra -Werror -DVM_TRACE=$(if $(2),1,0) -I$(1)/obj \
		-isystem $$(VERILATOR_ROOT_DIR)/include -isystem $$(VERILATOR_ROOT_DIR)/include/vltstd \
		-c hw/sim/nic_model.cc -o $(1)/nic_model.o
	@rm -f $$@
	ar rcs $$@ $(1)/nic_model.o $(1)/obj/*.o
endef

# The model is built twice: its code is far larger than the instruction cache, and clang lays it out by the profile of a
# short run, which makes it about 1.4 times as fast. SIM_PROFILE= does without; so does a machine without llvm-profdata.
LLVM_PROFDATA := $(shell $(SIM_CXX) -print-prog-name=llvm-profdata 2>/dev/null)
SIM_PROFILE ?= $(if $(wildcard $(LLVM_PROFDATA)),$(SIM_DIR)/profile/model.profdata)
$(eval $(call nic_model,$(SIM_DIR),,$(if $(SIM_PROFILE),-fprofile-instr-use=$(abspath $(SIM_PROFILE))),$(SIM_PROFILE)))
$(eval $(call nic_model,$(SIM_DIR)/profile,,-fprofile-instr-generate,))
$(eval $(call nic_model,$(SIM_DIR)/trace,--trace-fst --trace-structs,,))

$(SIM_DIR)/profile/%: $(B)/tests/bench/nic/%.o $$(SIM_TEST_OBJS) $(B)/lib/libslu.a $(SIM_DIR)/profile/libslu_nic_model.a
	$(SIM_CXX) -fprofile-instr-generate $^ $(NIC_MODEL_LIBS) -o $@
$(SIM_DIR)/profile/model.profdata: $(SIM_DIR)/profile/flows
	@rm -f $(@D)/*.profraw
	LLVM_PROFILE_FILE=$(abspath $(@D))/flows.profraw FLOWS=256 FRAMES=60000 $(@D)/flows >$(@D)/log
	$(LLVM_PROFDATA) merge -o $@ $(@D)/flows.profraw
# What a program needs to link the model.
NIC_MODEL_LIBS = -lstdc++ -lm -lpthread -latomic

SIM_SERVER_SRCS := $(filter-out hw/sim/main.c,$(wildcard hw/sim/*.c))
$(SIM_DIR)/%.o: CFLAGS += -Ihw/sim -D_GNU_SOURCE
# Everything of the server but main(), for its tests.
$(SIM_DIR)/libslu_nic_server.a: $(patsubst %.c,$(B)/%.o,$(SIM_SERVER_SRCS))
	@rm -f $@
	ar rcs $@ $^
$(B)/bin/sluice-nic: $(SIM_DIR)/main.o $(SIM_DIR)/libslu_nic_server.a $(SIM_DIR)/libslu_nic_model.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -ljansson $(NIC_MODEL_LIBS) -o $@
PROGRAMS += $(B)/bin/sluice-nic
# Not in `all`: what sluice-nic becomes with --trace.
$(B)/bin/sluice-nic-trace: $(SIM_DIR)/main.o $(SIM_DIR)/libslu_nic_server.a $(SIM_DIR)/trace/libslu_nic_model.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -ljansson -lz $(NIC_MODEL_LIBS) -o $@

$(B)/tests/unit/test_vnet: tests/unit/test_vnet.c $(SIM_DIR)/libslu_nic_server.a
$(B)/tests/unit/test_dma_map: tests/unit/test_dma_map.c $(SIM_DIR)/libslu_nic_server.a
$(B)/tests/unit/test_impairment: tests/unit/test_impairment.c $(SIM_DIR)/libslu_nic_server.a
SIM_UNIT_TESTS := $(B)/tests/unit/test_vnet $(B)/tests/unit/test_dma_map $(B)/tests/unit/test_impairment
$(SIM_UNIT_TESTS):
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D_GNU_SOURCE -Ihw/sim $(LDFLAGS) $^ -lcmocka -o $@
UNIT_TESTS += $(SIM_UNIT_TESTS)

$(B)/tests/fuzz/fuzz_vfio_user: tests/fuzz/fuzz_vfio_user.c $(SIM_SERVER_SRCS) $(SIM_DIR)/libslu_nic_model.a
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -D_GNU_SOURCE -Ihw/sim -o $@ $^ -ljansson $(NIC_MODEL_LIBS)
FUZZERS += $(B)/tests/fuzz/fuzz_vfio_user

# What test programs around the model share, and their flags.
SIM_TEST_CFLAGS = -D_GNU_SOURCE
SIM_TEST_OBJS := $(B)/tests/cosim/card.o $(B)/driver/base/rule.o
SIM_TEST_LIBS := $(B)/lib/libslu.a $(SIM_DIR)/libslu_nic_model.a
$(B)/tests/cosim/%.o $(B)/tests/bench/nic/%.o: CFLAGS += $(SIM_TEST_CFLAGS)

$(B)/tests/bench/nic/flows: $(B)/tests/bench/nic/flows.o $(SIM_TEST_OBJS) $(SIM_TEST_LIBS)
	$(CC) $(LDFLAGS) $^ $(NIC_MODEL_LIBS) -o $@
# The programs of the driver (driver/build.mk): the table without a card, and rules on the simulated one.
bench-nic: $(B)/tests/bench/nic/flows $$(DRIVER_BENCHES) ## the card: clocks, latency, table, offload; name value unit
	@$(B)/tests/bench/nic/flows
	@$(B)/tests/bench/nic/table
	@tests/bench/nic/offload.sh $(B)
.PHONY: bench-nic
