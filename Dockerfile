# The image of every host: `weft` with Node.js, its addon, and the tools that configure a network. The same image runs
# an agent, a lab or the command line. No compiler and no development package reaches the last stage.
ARG BASE_IMAGE=node:20-bookworm-slim

FROM ${BASE_IMAGE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ make python3
WORKDIR /src
COPY package.json package-lock.json ./
COPY scripts/node-headers.sh scripts/
COPY compose/build-packages.sh compose/
RUN sh compose/build-packages.sh
COPY native-bindings ./native-bindings
COPY scripts/build-addon.sh scripts/
RUN sh scripts/build-addon.sh
COPY tsconfig*.json ./
COPY src ./src
RUN node_modules/.bin/tsc -b && chmod +x dist/src/cli/main.js
# What stays: production packages without what compiling left behind, the addon, the JavaScript.
RUN mkdir -p /weft/native-bindings/build/Release /weft/dist \
  && npm ls --omit=dev --all --parseable | sed -n 's#^/src/##p' | xargs -I{} cp -R --parents {} /weft/ \
  && find /weft/node_modules \( -name '*.o' -o -name '*.d' -o -name obj.target \) -prune -exec rm -rf {} + \
  && cp native-bindings/build/Release/weft_native.node native-bindings/build/Release/weft_container /weft/native-bindings/build/Release/ \
  && cp -R dist/src /weft/dist/ \
  && cp package.json /weft/

FROM ${BASE_IMAGE}
# iproute2 and nftables are what an agent needs; the others are for the people who look around.
RUN apt-get update \
  && apt-get install -y --no-install-recommends \
    iproute2 nftables ca-certificates curl ethtool iperf3 iputils-ping procps tcpdump traceroute \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /weft /opt/weft
COPY LICENSE /opt/weft/
COPY compose/host.sh compose/health.sh /opt/weft/compose/
RUN ln -s /opt/weft/dist/src/cli/main.js /usr/local/bin/weft && weft version
ENTRYPOINT ["weft"]
CMD ["--help"]
