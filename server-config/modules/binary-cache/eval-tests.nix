{ lib, ... }:
let
  publicKey = name: "${name}:${lib.concatStrings (lib.genList (_: "A") 43)}=";
  inMesh = {
    services.openssh.enable = true;
    networking.useNetworkd = true;
    berth.features = {
      mesh = true;
      binaryCache = true;
    };
    berth.mesh = {
      address = "10.99.0.1";
      privateKeyFile = "/var/secrets/mesh-key";
    };
  };
  serving = {
    imports = [ inMesh ];
    berth.binaryCache.serve = {
      address = lib.mkDefault "10.99.0.1";
      signKeyFile = lib.mkDefault "/var/secrets/cache-key";
    };
  };
  using = keys: {
    berth.features.binaryCache = true;
    berth.binaryCache.use = map (key: {
      url = "http://10.99.0.1:5099";
      publicKey = key;
    }) keys;
  };
in
{
  "a cache is served in the mesh, signed, and nowhere else" = {
    modules = [ serving ];
    shows = config: {
      socket = {
        actual = config.systemd.units."harmonia.socket".text;
        contains = [
          "ListenStream=10.99.0.1:5099"
          "FreeBind=true"
        ];
      };
      key = {
        actual = config.systemd.units."harmonia.service".text;
        contains = "/var/secrets/cache-key";
      };
      "open in the mesh alone" = {
        actual = [
          config.networking.firewall.interfaces.wg-berth.allowedTCPPorts
          (lib.elem 5099 config.networking.firewall.allowedTCPPorts)
        ];
        equals = [
          [ 5099 ]
          false
        ];
      };
    };
  };
  "another host fetches from it, by its key" = {
    modules = [ (using [ (publicKey "berth-1") ]) ];
    shows = config: {
      substituters = {
        actual = config.nix.settings.substituters;
        contains = [
          "http://10.99.0.1:5099"
          "https://cache.nixos.org"
        ];
      };
      keys = {
        actual = config.nix.settings.trusted-public-keys;
        contains = "berth-1:AAAA";
      };
    };
  };
  "neither serves nor uses" = {
    modules = [ { berth.features.binaryCache = true; } ];
    refused = "this host neither serves";
  };
  "served without a signature" = {
    modules = [
      serving
      { berth.binaryCache.serve.signKeyFile = null; }
    ];
    refused = "berth.binaryCache.serve.signKeyFile is not set";
  };
  "served to the Internet" = {
    modules = [
      serving
      { berth.binaryCache.serve.address = "0.0.0.0"; }
    ];
    refused = "0.0.0.0 is not this host's address in the mesh";
  };
  "two keys of one name" = {
    modules = [
      (using [
        (publicKey "berth-1")
        "berth-1:${lib.concatStrings (lib.genList (_: "B") 43)}="
      ])
    ];
    refused = "two caches sign with a key of the same name";
  };
  "a key that is none" = {
    modules = [ (using [ "berth-1" ]) ];
    throws = "publicKey";
  };
}
