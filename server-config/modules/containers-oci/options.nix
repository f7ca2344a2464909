{ lib, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
  # One line of a unit file: no line break, and no % that systemd would read as a specifier.
  line = types.strMatching "[^\n\r%]+";
in
{
  options.berth.containersOci.containers = mkOption {
    default = { };
    description = "OCI containers that run on this host as systemd units `<name>.service`, by way of podman's quadlets.";
    type = types.attrsOf (
      types.submodule {
        options = {
          image = mkOption {
            type = types.strMatching "[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}";
            example = "docker.io/library/redis@sha256:…";
            description = "The image, by its digest: a tag would be another program tomorrow.";
          };
          ports = mkOption {
            type = types.attrsOf types.port;
            default = { };
            example = {
              "6379" = 6379;
            };
            description = "Ports on the host's loopback → ports in the container. For the outside there is Caddy.";
          };
          environment = mkOption {
            type = types.attrsOf line;
            default = { };
            description = "Variables. Not for secrets: every user of the host can read them.";
          };
          environmentFile = fileOnHost "File on the host with further variables, for secrets.";
          volumes = mkOption {
            type = types.attrsOf (types.strMatching "/[A-Za-z0-9._/-]+");
            default = { };
            example = {
              redis-data = "/data";
            };
            description = "Named volumes → where the container sees them. A folder of the host can't be given.";
          };
          memoryMax = mkOption {
            type = types.strMatching "[1-9][0-9]*[MG]";
            default = "512M";
            description = "Memory that the container may take.";
          };
        };
      }
    );
  };
}
