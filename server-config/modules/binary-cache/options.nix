{ lib, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };
in
{
  options.berth.binaryCache = {
    serve = {
      address = mkOption {
        type = types.nullOr (types.strMatching "[0-9.]+");
        default = null;
        example = "10.99.0.1";
        description = "Address at which this host serves its store to the others: the one in the mesh. None: it only fetches.";
      };
      port = mkOption {
        type = types.port;
        default = 5099;
        description = "Its port.";
      };
      signKeyFile = fileOnHost "File with the key that what is served is signed with (`nix key generate-secret --key-name berth-1`).";
    };
    use = mkOption {
      default = [ ];
      description = "Caches that this host fetches from before it builds.";
      type = types.listOf (
        types.submodule {
          options = {
            url = mkOption {
              type = types.strMatching "https?://[A-Za-z0-9.:_-]+(/[A-Za-z0-9._/-]*)?";
              example = "http://10.99.0.1:5099";
              description = "Where the cache answers.";
            };
            publicKey = mkOption {
              type = types.strMatching "[A-Za-z0-9._-]+:[A-Za-z0-9+/]{43}=";
              example = "berth-1:…";
              description = "Its public key (`nix key convert-secret-to-public`).";
            };
          };
        }
      );
    };
  };
}
