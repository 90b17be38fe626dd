"""From a file to what every modality needs: frames, face, regions, traces, crops."""
