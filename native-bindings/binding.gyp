# Builds weft_native.node: everything the packet path needs from the kernel, and nothing that decides about packets;
# and weft_container, the program beside every container.
{
  "targets": [
    {
      "target_name": "weft_native",
      "sources": [
        "src/addon.cc",
        "src/arguments.cc",
        "src/checksum.cc",
        "src/coalesce.cc",
        "src/engine.cc",
        "src/engine_object.cc",
        "src/ethtool.cc",
        "src/frame.cc",
        "src/inner_packet.cc",
        "src/memory.cc",
        "src/merge.cc",
        "src/netns.cc",
        "src/probe.cc",
        "src/pty.cc",
        "src/receive.cc",
        "src/segment.cc",
        "src/send_queue.cc",
        "src/tcp.cc",
        "src/transmit.cc",
        "src/tun.cc",
        "src/udp.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "_GNU_SOURCE"],
      "cflags!": ["-O2"],
      "cflags": ["-O3", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++20"],
      "cflags_cc": ["-std=gnu++17", "-fno-exceptions"]
    },
    {
      "target_name": "weft_container",
      "type": "executable",
      "sources": [
        "src/container.cc",
        "src/container_files.cc",
        "src/container_input.cc",
        "src/container_log.cc",
        "src/pty.cc"
      ],
      "defines": ["_GNU_SOURCE"],
      "cflags": ["-Wall", "-Wextra"],
      "cflags_cc!": ["-std=gnu++20"],
      "cflags_cc": ["-std=gnu++17", "-fno-exceptions", "-fno-rtti"],
      "ldflags!": ["-rdynamic"],
      "ldflags": ["-Wl,--as-needed"]
    }
  ]
}
