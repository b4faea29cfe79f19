# The kit on a CPU, with the versions of constraints.txt: docker build -t dwikit .
# A study in the current folder: docker run --rm -v "$PWD:/study" dwikit reproduce --profile smoke
FROM python:3.12-slim
COPY . /kit
RUN python -m pip install --no-cache-dir -c /kit/constraints.txt /kit && rm -rf /kit
WORKDIR /study
ENTRYPOINT ["dwikit"]
CMD ["doctor"]
