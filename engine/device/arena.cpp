#include "engine/device/arena.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "engine/base/units.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace swarm::engine::device {
namespace {

constexpr uint8_t kGuardPattern = 0xc5;
constexpr uint8_t kFreshPattern = 0xff;   // NaN in f32, f16 and bf16

uint64_t round_up(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::string_view group_of(std::string_view name) { return name.substr(0, name.find('/')); }

}  // namespace

void ArenaPlan::add(std::string_view name, uint64_t count, uint64_t element_bytes) {
  SWARM_CHECK(!name.empty());
  SWARM_CHECK(std::none_of(regions_.begin(), regions_.end(),
                           [&](const ArenaRegion& region) { return region.name == name; }),
              name);
  // Far above any machine, far below an overflow of the sums.
  constexpr uint64_t kBytesMax = uint64_t{1} << 60;
  uint64_t bytes = checked_mul(count, element_bytes).value_or(UINT64_MAX);
  if (bytes > kBytesMax || bytes_ > kBytesMax) {
    overflow_ = true;
    bytes = std::min(bytes, kBytesMax);
  }
  regions_.push_back({.name = std::string(name), .offset = bytes_, .bytes = bytes});
  if (!overflow_) bytes_ += round_up(bytes + kGuardBytes);
}

uint64_t ArenaPlan::group_bytes(std::string_view group) const {
  uint64_t sum = 0;
  for (const ArenaRegion& region : regions_)
    if (group_of(region.name) == group) sum += region.bytes;
  return sum;
}

std::vector<ArenaPlan::Group> ArenaPlan::groups() const {
  std::vector<Group> out;
  for (const ArenaRegion& region : regions_) {
    const std::string_view name = group_of(region.name);
    auto found = std::find_if(out.begin(), out.end(),
                              [&](const Group& group) { return group.name == name; });
    if (found == out.end()) found = out.insert(out.end(), Group{.name = std::string(name)});
    ++found->regions;
    found->bytes += region.bytes;
  }
  return out;
}

std::string ArenaPlan::table() const {
  std::ostringstream out;
  size_t width = 5;
  for (const Group& group : groups()) width = std::max(width, group.name.size());
  const int column = static_cast<int>(width);
  for (const Group& group : groups())
    out << std::left << std::setw(column) << group.name << std::right << std::setw(8)
        << group.regions << (group.regions == 1 ? " region " : " regions") << std::setw(14)
        << format_bytes(group.bytes) << "\n";
  out << std::left << std::setw(column) << "total" << std::right << std::setw(30)
      << format_bytes(bytes_) << "\n";
  return out.str();
}

Result<void> ArenaPlan::check_fits(std::string_view device, const DeviceMemory& memory,
                                   uint64_t reserve_bytes) const {
  if (overflow_) return environment_error("out of device memory: the plan is beyond 2^60 bytes");
  const uint64_t wanted = checked_add(bytes_, reserve_bytes).value_or(UINT64_MAX);
  if (wanted <= memory.free_bytes) return {};
  std::string parts;
  for (const Group& group : groups()) parts += group.name + " " + format_bytes(group.bytes) + ", ";
  return environment_error("out of device memory: needs " + format_bytes(wanted) + " (" + parts +
                           "reserve " + format_bytes(reserve_bytes) + "), " +
                           std::string(device) + " has " + format_bytes(memory.free_bytes) +
                           " free of " + format_bytes(memory.total_bytes) + ": " +
                           format_bytes(wanted - memory.free_bytes) + " too much");
}

Result<Arena> Arena::open(Device& device, Stream& stream, ArenaPlan plan, uint64_t reserve_bytes) {
  SWARM_TRY(const DeviceMemory now, device.memory());
  const std::string name = device.info().id() + " (" + device.info().name + ")";
  SWARM_TRY_VOID(plan.check_fits(name, now, reserve_bytes));
  SWARM_TRY(Buffer<std::byte> memory,
            device.allocate<std::byte>(static_cast<size_t>(plan.bytes()), "the arena"));
  Arena arena(device, std::move(plan), std::move(memory));
  stream.fill_bytes(arena.memory_.span(), kFreshPattern);
  for (size_t i = 0; i < arena.plan_.regions().size(); ++i)
    stream.fill_bytes(arena.guard(i), kGuardPattern);
  SWARM_TRY_VOID(stream.synchronize());
  arena.forbid_guards(true);
  return arena;
}

Arena::Arena(Device& device, ArenaPlan plan, Buffer<std::byte> memory)
    : device_(&device), plan_(std::move(plan)), memory_(std::move(memory)) {
  for (size_t i = 0; i < plan_.regions().size(); ++i) index_.emplace(plan_.regions()[i].name, i);
}

Arena::~Arena() {
  if (!memory_.span().empty()) forbid_guards(false);
}

DeviceSpan<std::byte> Arena::region(std::string_view name) const {
  const auto found = index_.find(name);
  SWARM_CHECK(found != index_.end(), name);
  const ArenaRegion& region = plan_.regions()[found->second];
  return memory_.span().subspan(static_cast<size_t>(region.offset),
                                static_cast<size_t>(region.bytes));
}

// From the end of region `index` to the start of the next.
DeviceSpan<std::byte> Arena::guard(size_t index) const {
  const std::span<const ArenaRegion> regions = plan_.regions();
  const uint64_t begin = regions[index].offset + regions[index].bytes;
  const uint64_t end = index + 1 < regions.size() ? regions[index + 1].offset : plan_.bytes();
  SWARM_CHECK(end - begin >= kGuardBytes, begin, end);
  return memory_.span().subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

void Arena::forbid_guards(bool forbid) const {
#if defined(__SANITIZE_ADDRESS__)
  if (device_->info().kind != DeviceKind::host) return;
  for (size_t i = 0; i < plan_.regions().size(); ++i) {
    const DeviceSpan<std::byte> bytes = guard(i);
    if (forbid) {
      ASAN_POISON_MEMORY_REGION(bytes.kernel_pointer(), bytes.size());
    } else {
      ASAN_UNPOISON_MEMORY_REGION(bytes.kernel_pointer(), bytes.size());
    }
  }
#else
  static_cast<void>(forbid);
#endif
}

Result<void> Arena::check_integrity(Stream& stream) const {
  const std::span<const ArenaRegion> regions = plan_.regions();
  // Every guard begins with kGuardBytes that are surely there; one copy each, one wait for all.
  SWARM_TRY(const PinnedBuffer<std::byte> seen,
            device_->allocate_pinned<std::byte>(regions.size() * kGuardBytes, "guards"));
  forbid_guards(false);
  for (size_t i = 0; i < regions.size(); ++i)
    stream.copy(seen.span().subspan(i * kGuardBytes, kGuardBytes), guard(i).first(kGuardBytes));
  const Result<void> waited = stream.synchronize();
  forbid_guards(true);
  SWARM_TRY_VOID(waited);
  for (size_t i = 0; i < seen.size(); ++i)
    if (seen.span()[i] != std::byte{kGuardPattern})
      return failed("device memory behind \"" + regions[i / kGuardBytes].name +
                    "\" was overwritten, first at byte " + std::to_string(i % kGuardBytes) +
                    " after its end");
  return {};
}

}  // namespace swarm::engine::device
