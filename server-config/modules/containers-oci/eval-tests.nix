{ lib, ... }:
let
  digest = "sha256:${lib.concatStrings (lib.genList (_: "a") 64)}";
  containers = set: {
    berth.features.containersOci = true;
    berth.containersOci.containers = set;
  };
  redis = {
    image = "docker.io/library/redis@${digest}";
    ports."6379" = 6379;
    environment.GREETING = ''it's "50" $HOME'';
    volumes.redis-data = "/data";
  };
in
{
  "off by default" = {
    modules = [ ];
    shows = config: {
      podman = {
        actual = config.virtualisation.podman.enable;
        equals = false;
      };
    };
  };
  "a container is a quadlet that listens on loopback and holds no rights" = {
    modules = [ (containers { inherit redis; }) ];
    shows = config: {
      quadlet = {
        actual = config.environment.etc."containers/systemd/redis.container".text;
        contains = [
          "Image=docker.io/library/redis@${digest}\nPublishPort=127.0.0.1:6379:6379\n"
          ''Environment="GREETING=it's \"50\" $$HOME"''
          "Volume=redis-data:/data\nDropCapability=all\n"
          "UserNS=auto"
        ];
      };
      generator = {
        actual = config.systemd.generators.podman-system-generator;
        contains = "/lib/systemd/system-generators/podman-system-generator";
      };
    };
  };
  "an image by tag" = {
    modules = [ (containers { redis = redis // { image = "redis:8"; }; }) ];
    throws = "image";
  };
  "a name that is taken" = {
    modules = [ (containers { systemd-journald = redis; }) ];
    refused = "this host already has a unit systemd-journald.service";
  };
  "a name that is a path" = {
    modules = [ (containers { "../x" = redis; }) ];
    refused = "../x is no name for a unit";
  };
  "one port for two" = {
    modules = [
      (containers {
        a = redis;
        b = redis;
      })
    ];
    refused = "two containers want the same port";
  };
  "a port that is none" = {
    modules = [ (containers { a = redis // { ports."99999" = 1; }; }) ];
    refused = "99999 is no port of the host";
  };
  "a variable whose name is syntax" = {
    modules = [ (containers { a = redis // { environment."X Y=1" = "2"; }; }) ];
    refused = "X Y=1 is no variable's name";
  };
  "a variable with a line of its own" = {
    modules = [ (containers { a = redis // { environment.X = "1\nVolume=/:/host"; }; }) ];
    throws = "environment.X";
  };
  "a folder of the host" = {
    modules = [ (containers { a = redis // { volumes."/etc" = "/host"; }; }) ];
    refused = "/etc is no volume";
  };
}
