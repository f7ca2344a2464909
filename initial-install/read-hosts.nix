# { lib, file } → the checked hosts of a hosts.toml, by name. Ends with a sentence that names file, host and key.
{ lib, file }:
let
  hosts =
    (lib.evalModules {
      modules = [
        ./hosts-schema.nix
        {
          _file = toString file;
          config = fromTOML (builtins.readFile file);
        }
      ];
    }).config.hosts;

  # What a type of a single value can't say.
  problemsOf =
    name: host:
    let
      inherit (host.disks) devices layout;
      wanted = if layout == "mirrored" then 2 else 1;
      twice = key: !lib.allUnique (map (device: device.${key}) devices);
    in
    lib.optional (builtins.match "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?" name == null) "must be a host name"
    ++ lib.optional (lib.length devices != wanted) "disks.devices: layout \"${layout}\" takes ${toString wanted}"
    ++ lib.optional (twice "path") "disks.devices: one path stands twice"
    ++ lib.optional (twice "serial") "disks.devices: one serial stands twice"
    ++ lib.optional (
      (host.network.addresses == [ ]) != (host.network.gateways == [ ])
    ) "network.gateways: addresses and gateways stand together, or neither does (DHCP)";

  problems = lib.concatLists (
    lib.mapAttrsToList (name: host: map (problem: "hosts.${name}: ${problem}") (problemsOf name host)) hosts
  );
in
lib.throwIf (problems != [ ]) "${toString file}:\n  ${lib.concatStringsSep "\n  " problems}" hosts
