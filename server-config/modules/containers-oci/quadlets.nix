# Podman's generator makes units of these files at boot and at each reload.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.containersOci;
  podman = config.virtualisation.podman.package;

  # Quadlet puts the values on a command line of systemd, which would read $NAME as a variable of its own.
  escaped = lib.replaceStrings [ "$" ] [ "$$" ];
  lines = key: values: lib.concatMapStrings (value: "${key}=${value}\n") values;
  quadlet = name: container: ''
    [Unit]
    Description=${name} (OCI)
    Wants=network-online.target
    After=network-online.target

    [Container]
    ContainerName=${name}
    Image=${container.image}
    ${lines "PublishPort" (
      lib.mapAttrsToList (host: inside: "127.0.0.1:${host}:${toString inside}") container.ports
    )}${
      lines "Environment" (
        lib.mapAttrsToList (variable: value: escaped (builtins.toJSON "${variable}=${value}")) container.environment
      )
    }${
      lines "EnvironmentFile" (lib.optional (container.environmentFile != null) container.environmentFile)
    }${lines "Volume" (lib.mapAttrsToList (volume: path: "${volume}:${path}") container.volumes)}DropCapability=all
    NoNewPrivileges=true
    ReadOnly=true
    UserNS=auto
    PidsLimit=512

    [Service]
    Restart=always
    RestartSec=5
    MemoryMax=${container.memoryMax}

    [Install]
    WantedBy=multi-user.target
  '';
in
{
  config = lib.mkIf config.berth.features.containersOci {
    virtualisation.podman = {
      enable = true;
      autoPrune.enable = true;
    };
    systemd.generators.podman-system-generator = "${podman}/lib/systemd/system-generators/podman-system-generator";
    environment.etc = lib.mapAttrs' (
      name: container: lib.nameValuePair "containers/systemd/${name}.container" { text = quadlet name container; }
    ) cfg.containers;
    # `UserNS=auto` takes each container's range from here, beyond those of nspawn's containers.
    users.users.containers = {
      isSystemUser = true;
      group = "containers";
      subUidRanges = [
        {
          startUid = 2000000000;
          count = 16777216;
        }
      ];
      subGidRanges = [
        {
          startGid = 2000000000;
          count = 16777216;
        }
      ];
    };
    users.groups.containers = { };
  };
}
